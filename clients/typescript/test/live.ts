// Uses the packed client against a running family, as somebody who has installed it. tests/foreign runs it, with FOUNTAIN_URL, and the name, password and
// a second-factor code of an administrator.

import assert from "node:assert/strict";
import test from "node:test";

import { fountain, isProblem, ProblemError, take, type Schemas } from "@fountainai/client";

const given = (name: string): string => {
  const value = process.env[name];
  assert.ok(value, `${name} is set`);
  return value;
};

const url = given("FOUNTAIN_URL");
const password = given("FOUNTAIN_PASSWORD");

const signIn = async (username: string): Promise<Schemas["kms"]["TokenResponse"]> => {
  const answer = await take(fountain({ baseUrl: url }).kms.POST("/auth/login", { body: { username, password } }));
  assert.ok("access_token" in answer);
  return answer;
};

test("an administrator signs in, steps up, makes a user and finds it", async () => {
  let token = (await signIn(given("FOUNTAIN_USER"))).access_token;
  const family = fountain({ baseUrl: `${url}/`, token: () => token });

  const { error, response } = await family.kms.GET("/users");
  assert.equal(response.status, 401);
  assert.ok(isProblem(error));
  assert.equal(error.code, "insufficient_user_authentication");

  const { proof } = await take(family.twofactor.POST("/verify", { body: { code: given("FOUNTAIN_CODE") } }));
  token = (await take(family.kms.POST("/auth/step-up", { body: { proof, resource: "kms" } }))).access_token;
  const made = await take(family.kms.POST("/users", { body: { username: "margaret", password, roles: ["editor"] } }));
  assert.equal(made.status, "active");

  const names: string[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await take(family.kms.GET("/users", { params: { query: { limit: 1, ...(cursor && { cursor }) } } }));
    names.push(...page.items.map(({ username }) => username));
    if (!(cursor = page.nextCursor)) break;
  }
  assert.ok(names.includes("margaret") && names.includes(given("FOUNTAIN_USER")), names.join());

  const refused = await take(family.kms.POST("/users", { body: { username: "margaret", password, roles: ["editor"] } })).catch((cause: unknown) => cause);
  assert.ok(refused instanceof ProblemError);
  assert.equal(refused.status, 409);
  assert.equal(refused.code, "already_exists");
  assert.match(refused.requestId, /^req_[0-9A-Z]{26}$/);
  assert.equal(await take(family.kms.DELETE("/users/{userId}", { params: { path: { userId: made.id } } })), undefined);
});

test("a fetch of one's own repeats what a token that has ended was refused for", async () => {
  let token = "ended", sent = 0;
  const family = fountain({
    baseUrl: url,
    token: () => token,
    fetch: async (request) => {
      sent++;
      const answer = await fetch(request.clone());
      if (answer.status !== 401) return answer;
      token = (await signIn(given("FOUNTAIN_USER"))).access_token;
      request.headers.set("Authorization", `Bearer ${token}`);
      return fetch(request);
    },
  });
  const made = await take(family.sequence.POST("/scopes/{scope}/{elementType}/elements", {
    params: { path: { scope: "play", elementType: "scene" } }, body: { data: { title: "here" } },
  }));
  assert.equal(sent, 1);
  const { items } = await take(family.sequence.GET("/scopes/{scope}/{elementType}/elements", { params: { path: { scope: "play", elementType: "scene" } } }));
  assert.ok(items.some(({ id }) => id === made.id));
});

test("what the contract refuses names the field", async () => {
  const refused = await take(fountain({ baseUrl: url }).kms.POST("/auth/login", { body: { username: "", password } })).catch((cause: unknown) => cause);
  assert.ok(refused instanceof ProblemError);
  assert.equal(refused.code, "invalid_body");
  assert.equal(refused.problem?.errors?.[0]?.pointer, "/username");
  assert.equal(refused.message.includes(password), false);
});

test("the gateway's own operations need no token", async () => {
  const { items } = await take(fountain({ baseUrl: url }).gateway.GET("/gateway/v1/services"));
  assert.deepEqual(items.map(({ name }) => name).sort(), ["kms", "search", "sequence", "twofactor"]);
});
