// What was taken out of the audit trails into archives: when, which events, by whom, and how an archive is verified. An order to remove events is an event of the kms's trail.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { family, take } from "../family.js";
import { Listing } from "../listing.js";
import { from } from "../pages.js";
import { Frame, type View } from "../view.js";

type Event = Schemas["kms"]["AuditEvent"];

/** The numbers of the events in an archive. */
const numbers = ({ after, seq }: Record<string, string>): string => `${Number(after) + 1} to ${seq}`;

/** The command that verifies the archives of a trail, and that they are contiguous. */
const verifying = (service: string): string => `fountain audit verify ${service === "kms" ? "" : `--service ${service} `}--archives DIRECTORY --identity FILE --public-key KEY`;

const Archives = () => <Frame title="Audit archives">
  <p>Archived events are only in an archive: <code>fountain audit archive</code> writes it and removes them from the trail. KEY is the public key of the trail's checkpoints; FILE decrypts encrypted archives. The hash is that of the last
    event in the archive: an archive that ends with another hash belongs to another trail.</p>
  <Listing<Event> label="Archives" id={({ seq }) => String(seq)} none="Nothing was archived."
    load={(cursor) => take(family.kms.GET("/audit/events", { params: { query: { ...from(cursor), action: "archiveAudit", outcome: "ok" } } }))}
    columns={[
      { head: "Ordered", cell: ({ at, actor, actorKind }) => <>{moment(at)}<br />{actorKind} <code>{actor}</code></> },
      { head: "Trail", cell: ({ target }) => target },
      { head: "Events", cell: ({ detail = {} }) => numbers(detail) },
      { head: "Hash", cell: ({ detail = {} }) => <code>{detail["hash"] ?? "not recorded"}</code> },
      { head: "Verify with", cell: ({ target }) => <code>{verifying(target)}</code> },
    ]} />
</Frame>;

export const archives: View = { route: "audit-archives", title: "Audit archives", allowed: (person) => person.can("audit:read"), Shown: Archives };
