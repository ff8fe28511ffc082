// The fields that both kinds of factors have when they are added: a name, and for an administrator's first factor an invitation.

import { field } from "./form.js";

// labelField asks for a name of the device. It proposes one that no other factor has.
export const labelField = (proposal, others) => field({
  name: "label", label: "Name", hint: "What you call this device.", value: free(proposal, others), maxlength: "64", autocomplete: "off", autocapitalize: "sentences",
  clean: (text) => text.trim(),
});

const free = (name, others, number = 1) => {
  const tried = number === 1 ? name : `${name} ${number}`;
  return others.includes(tried) ? free(name, others, number + 1) : tried;
};

// invited is the invitation in the fragment of the link that opened the page, or "". Browsers do not send the fragment; it is removed from the address.
const invited = (() => {
  const given = location.hash.slice(1);
  if (!/^in_[A-Za-z0-9_-]{17,125}$/.test(given)) return "";
  history.replaceState(null, "", location.pathname + location.search);
  return given;
})();

// invitationField is shown once the API has required an invitation, or if the link of an invitation was opened.
export const invitationField = () => field({
  name: "invitation", label: "Invitation", hidden: invited === "", autocomplete: "off", maxlength: "200", value: invited,
  hint: "An administrator's first factor needs one: the first administrator got it from fountain bootstrap, others get it from an administrator.",
  clean: (text) => text.trim(),
  check: (text) => (/^[A-Za-z0-9_-]{20,128}$/.test(text) ? "" : "This is not an invitation. Copy all of it, and nothing else."),
});

// withInvitation runs act. If the API requires an invitation, it shows the field for it.
export const withInvitation = async (invitation, act) => {
  try {
    return await act();
  } catch (problem) {
    if (problem.code !== "invitation_required") throw problem;
    invitation.reveal();
    problem.errors = [{ pointer: "/invitation" }];
    throw problem;
  }
};
