// What both kinds of factor ask for when they are added: a name, and of administrators an invitation for their first.

import { field } from "./form.js";

// labelField asks what the person calls the device. It proposes a name that none of the others has.
export const labelField = (proposal, others) => field({
  name: "label", label: "Name", hint: "What you call this device.", value: free(proposal, others), maxlength: "64", autocomplete: "off", autocapitalize: "sentences",
  clean: (text) => text.trim(),
});

const free = (name, others, number = 1) => {
  const tried = number === 1 ? name : `${name} ${number}`;
  return others.includes(tried) ? free(name, others, number + 1) : tried;
};

// invited is the invitation of the link by which the page was opened, or "". It is behind #, which no server is sent, and is taken out of the address.
const invited = (() => {
  const given = location.hash.slice(1);
  if (!/^in_[A-Za-z0-9_-]{17,125}$/.test(given)) return "";
  history.replaceState(null, "", location.pathname + location.search);
  return given;
})();

// invitationField is shown once the API has asked for it, or where the link of an invitation was opened.
export const invitationField = () => field({
  name: "invitation", label: "Invitation", hidden: invited === "", autocomplete: "off", maxlength: "200", value: invited,
  hint: "An administrator's first factor needs one: the first administrator got it from fountain bootstrap, others get it from an administrator.",
  clean: (text) => text.trim(),
  check: (text) => (/^[A-Za-z0-9_-]{20,128}$/.test(text) ? "" : "This is no invitation. Copy all of it, and nothing else."),
});

// withInvitation does what may need an invitation; where it does, the field for it is shown.
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
