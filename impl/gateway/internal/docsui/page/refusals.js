// A plugin of Swagger UI: the refusals of an operation are shown by their statuses and codes alone until one is opened. There are about ten of each, and
// whole they are several screens.

const media = "application/problem+json";

// codes are those of a response's examples.
const codes = (response) => [...(response.getIn(["content", media, "examples"])?.keys() ?? [])].join(", ");

export const refusals = () => ({
  wrapComponents: {
    response: (Whole, { React: { createElement: element, useState } }) => (props) => {
      const [open, setOpen] = useState(false);
      const { code, response } = props;
      if (open || !response?.getIn(["content", media])) return element(Whole, props);
      const unfold = element("button", { type: "button", className: "refusal", "aria-expanded": false, onClick: () => setOpen(true) }, codes(response) || "Show");
      return element("tr", { className: "response", "data-code": code },
        element("td", { className: "response-col_status" }, code),
        element("td", { className: "response-col_description" }, unfold));
    },
  },
});
