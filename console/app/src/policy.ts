// What a contract requires of callers, read from the contract that the gateway serves.

import { parse } from "yaml";
import { Problem } from "#page/problem.js";
import { family, take } from "./family.js";

export interface Rate {
  name: string;
  /** What the limit counts by: ip, sub and the like. */
  key: string;
  quota: number;
  window: string;
  burst: number;
}

export interface Operation {
  id: string;
  /** The method and the path. */
  at: string;
  /** The scopes, one of each alternative; "" when it is open to everybody. */
  scopes: string;
  roles: string;
  secondFactor: string;
  rates: Rate[];
}

export interface Policy {
  title: string;
  version: string;
  /** The limits of every operation. */
  rates: Rate[];
  operations: Operation[];
}

// The parts of a contract that are read. A contract has been checked by the gateway before it serves it.
interface Rules {
  rate?: Rate[];
  roles?: { anyOf?: string[] };
  stepUp?: { acr: string; maxAge: number };
}
type Security = Record<string, string[]>[];
interface Described {
  operationId?: string;
  security?: Security;
  "x-fountain"?: Rules;
}
interface Contract {
  info: { title: string; version: string };
  security?: Security;
  "x-fountain"?: Rules;
  paths?: Record<string, Record<string, Described>>;
}

const methods = ["get", "put", "post", "patch", "delete", "options", "head"];

/** Returns the policy of a service's contract. */
export const policyOf = async (service: string): Promise<Policy> => {
  const text = await take(family.gateway.GET("/openapi/{document}", { params: { path: { document: `${service}.yaml` } }, parseAs: "text", headers: { Accept: "application/yaml, application/problem+json" } }));
  let contract: Contract;
  try {
    contract = parse(text, { maxAliasCount: -1 }) as Contract; // the gateway bounds it, and has expanded the same aliases
  } catch {
    throw new Problem({ code: "broken_answer" });
  }
  const operations = Object.entries(contract.paths ?? {}).flatMap(([path, item]) => methods.filter((method) => item[method]).map((method) =>
    operation(`${method.toUpperCase()} ${path}`, item[method]!, contract.security)));
  return { title: contract.info.title, version: String(contract.info.version), rates: contract["x-fountain"]?.rate ?? [], operations };
};

const operation = (at: string, described: Described, inherited: Security = []): Operation => {
  const rules = described["x-fountain"] ?? {};
  const alternatives = (described.security ?? inherited).map((one) => Object.values(one).flat().join(" and "));
  return {
    id: described.operationId ?? at, at, scopes: [...new Set(alternatives)].filter(Boolean).join(" or "), roles: rules.roles?.anyOf?.join(", ") ?? "",
    secondFactor: rules.stepUp ? `${rules.stepUp.acr}, of the last ${rules.stepUp.maxAge} s` : "", rates: rules.rate ?? [],
  };
};

/** Says a limit in words. */
export const rateText = ({ quota, window, burst, key }: Rate): string => `${quota} per ${window} by ${key}, burst ${burst}`;
