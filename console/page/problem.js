// What went wrong, in the form in which all modules throw it: a refusal of the API (RFC 9457), or a fault on the way there or of the browser.

export class Problem extends Error {
  // code is stable and says what it is; detail is the API's own sentence.
  constructor({ code, status = 0, detail = "", errors = [], acrValues = [], requestId = "" }, retryAfter = 0) {
    super(code);
    Object.assign(this, { code, status, detail, errors, acrValues, requestId, retryAfter });
  }

  // asksForFactor reports whether the call would succeed with a second factor (RFC 9470). An older sign-in is refused with the same code, and requires only the password.
  get asksForFactor() {
    return this.code === "insufficient_user_authentication" && !this.acrValues.includes("aal1");
  }

  // asksForSignIn reports whether the call would succeed after a fresh sign-in.
  get asksForSignIn() {
    return this.code === "insufficient_user_authentication" && this.acrValues.includes("aal1");
  }

  // endsSession reports whether the session has ended.
  get endsSession() {
    return this.code === "session_ended" || this.code === "invalid_token" || this.code === "authentication_required";
  }
}

// cancelled returns the Problem for an action that the person has cancelled.
export const cancelled = () => new Problem({ code: "cancelled" });
