// The services behind the gateway, as it knows them.

// family are those that are always there, with what each is; the gateway tells of the others.
export const family = new Map([
  ["gateway", "Checks and forwards every request; serves this page"],
  ["kms", "Users, API keys, secrets, tokens"],
  ["twofactor", "Second factors: codes, passkeys, recovery codes"],
  ["search", "Collections of documents and full-text search"],
  ["sequence", "Numbered elements and their versions"],
]);

// services returns the services with their states; a name is letters, digits and hyphens, and what is anything else is not shown.
export const services = async () => {
  const answer = await fetch("/gateway/v1/services", { credentials: "omit", cache: "no-store" });
  if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
  const { items } = await answer.json();
  return items.filter(({ name }) => /^[a-z][a-z0-9-]*$/.test(name));
};
