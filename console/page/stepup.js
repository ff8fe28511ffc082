// Raises a session with a second factor, in a dialog, when a call requires one.

import { cancel } from "./form.js";
import { open } from "./dialog.js";
import { el } from "./dom.js";
import { factorForm } from "./factorform.js";
import { cancelled } from "./problem.js";
import { ways } from "./proof.js";

// stepUp returns the function for Session.prove. used is called with the way in which the person has proven a second factor.
export const stepUp = (session, used = () => {}) => async (service) => {
  const possible = await ways(session);
  const proven = await open("Confirm that it is you", (close) => {
    const use = async (proof, way) => {
      await session.raise(service, proof);
      used(way);
      close(true);
    };
    return [el("p", {}, "This requires one of your second factors."), factorForm(session, possible, use, cancel(() => close()))];
  });
  if (!proven) throw cancelled();
};
