// Documents as text: JavaScript's numbers would lose digits of those beyond 2^53, which a document may have.

const word = /"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g;

/** Breaks a JSON text into lines as JSON.stringify would with two spaces, and changes no value of it. */
export const indented = (text: string): string => {
  const words = text.match(word) ?? [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return words.map((one, at) => {
    const before = words[at - 1] ?? "";
    switch (one) {
      case ":": return ": ";
      case ",": return `,${line()}`;
      case "{": case "[":
        depth += 1;
        return words[at + 1] === (one === "{" ? "}" : "]") ? one : one + line();
      case "}": case "]":
        depth -= 1;
        return before === (one === "}" ? "{" : "[") ? one : line() + one;
      default: return one;
    }
  }).join("");
};

/** The texts of the values at a path of members of a JSON text, in their order, and of a list on the way those of each of its values. */
export const textsAt = (text: string, ...path: string[]): string[] => {
  const words = text.match(word) ?? [], found: string[] = [];
  let next = 0;
  const value = (rest: string[] | undefined): void => {
    const begin = next, open = words[next];
    next += 1;
    if (open === "[") {
      while (next < words.length && words[next] !== "]") {
        if (words[next] === ",") next += 1;
        value(rest?.length ? rest : undefined);
      }
    }
    if (open === "{") {
      while (next < words.length && words[next] !== "}") {
        if (words[next] === ",") next += 1;
        const name: unknown = JSON.parse(words[next] ?? '""');
        next += 2; // and the colon
        value(rest?.length && rest[0] === name ? rest.slice(1) : undefined);
      }
    }
    if (open === "[" || open === "{") next += 1;
    if (rest?.length === 0) found.push(words.slice(begin, next).join(""));
  };
  value(path);
  return found;
};
