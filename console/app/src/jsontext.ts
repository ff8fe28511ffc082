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
