#!/usr/bin/env python3
"""Write variants of the recorded answers of a Typesense: what must hold when names, letters, case or the order of insertion are others.

usage: search-variants.py --corpus DIR --url URL --key KEY [--seed N] [--variant NAME] [--least PERCENT]

Each variant changes requests, documents and recorded answers in the same way, so that a rule which fits only the recorded words is found. It keeps the
cases that the change does not touch in a way nobody has recorded (each variant says which it leaves out). The server is WIPED. For every variant it
prints how many of the cases that agree as recorded agree in the variant, too, and ends with 1 when that is less than --least percent, or when an area is below 92 % without the answers that are faults of 29.0,
or when one of those does not contradict itself. Python 3.11, standard
library only.
"""
import argparse, json, os, random, re, shutil, string, subprocess, sys, tempfile

LISTS = ("query_by", "facet_by", "group_by", "include_fields", "exclude_fields", "highlight_fields", "highlight_full_fields")
EXPRESSIONS = ("filter_by", "sort_by", "facet_query", "vector_query")
KEYWORDS = {"true", "false", "km", "mi", "asc", "desc", "first", "last", "normal", "missing_values", "precision", "exclude_radius", "buckets", "bucket_size"}


class Skip(Exception):
    """the case says nothing in this variant"""


def outside(text, pattern, change):
    """change the parts of text that do not match pattern"""
    return "".join(part if i % 2 else change(part) for i, part in enumerate(re.split("(%s)" % pattern, text)))


def steps(case):
    return [case] + case.get("then", [])


def ascii_only(x):
    return json.dumps(x, ensure_ascii=False).isascii()


class Variant:
    """Variant changes nothing. Its methods are the places where something may be changed."""
    doc = ""

    def __init__(self, setup, case, rnd):
        self.rnd, self.schemas = rnd, []
        for r in setup["requests"] + [s["request"] for s in steps(case)]:
            if isinstance(r.get("body"), dict) and isinstance(r["body"].get("fields"), list):
                self.schemas.append(r["body"])
        self.fields = {f["name"]: f for s in self.schemas for f in s["fields"] if isinstance(f, dict) and isinstance(f.get("name"), str) and f["name"]}
        self.collections = {s["name"] for s in self.schemas if isinstance(s.get("name"), str) and s["name"]}

    def left_out(self, setup, case):
        """True for a case whose answer in the variant nobody knows."""
        return False

    def path(self, path):
        return path

    def params(self, params):
        return params

    def schema(self, body):
        return body

    def document(self, doc):
        return doc

    def other(self, path, body):
        """the body of a synonym, an override, a set of stopwords, a preset, an alias or a key"""
        return body

    def lines(self, docs):
        """the documents of a setup's import"""
        return docs

    def hit(self, hit):
        return hit

    def facet(self, facet):
        return facet

    def group_key(self, key):
        return key

    # ------------------------------------------------------------ walks
    def request(self, req, corpus, loading):
        if "raw_query" in req:
            raise Skip
        req = dict(req, path=self.path(req["path"]))
        if "params" in req:
            req["params"] = self.params(req["params"])
        if isinstance(req.get("key"), dict) and "scoped" in req["key"]:
            req["key"] = dict(req["key"], params=self.embedded(req["key"]["params"]))
        tail = req["path"].rsplit("/", 1)[-1]
        if tail == "import":
            text = req.pop("body_text", None)
            if "body_file" in req:
                with open(os.path.join(corpus, req.pop("body_file")), encoding="utf-8") as f:
                    text = f.read()
            if text is None:
                raise Skip
            req["body_text"] = "\n".join(self.imported(text.split("\n"), loading))
            return req
        body = req.get("body")
        if not isinstance(body, dict):
            if "body_text" in req and type(self) is not Order:
                raise Skip  # texts that are no JSON
            return req
        if "/documents" in req["path"]:
            req["body"] = self.document(body)
        elif "fields" in body:
            req["body"] = self.schema(body)
        elif isinstance(body.get("searches"), list):
            if not all(isinstance(s, dict) for s in body["searches"]):
                raise Skip
            req["body"] = dict(body, searches=[self.params(s) for s in body["searches"]])
        else:
            req["body"] = self.other(req["path"], body)
        return req

    def embedded(self, text):
        """the parameters in a scoped key"""
        try:
            params = json.loads(text)
        except ValueError:
            raise Skip from None
        if not isinstance(params, dict):
            raise Skip
        return json.dumps(self.params(params))

    def imported(self, lines, loading):
        try:
            docs = [json.loads(line) for line in lines if line.strip()]
        except ValueError:
            raise Skip from None
        if not all(isinstance(d, dict) for d in docs):
            raise Skip
        docs = [self.document(d) for d in docs]
        return [json.dumps(d, ensure_ascii=False) for d in (self.lines(docs) if loading else docs)]

    def response(self, req, resp):
        resp = dict(resp)
        if resp["status"] >= 400:
            return resp
        if "lines" in resp:
            resp["lines"] = [self.line(req, x) for x in resp["lines"]]
        if isinstance(resp.get("body"), dict):
            resp["body"] = self.body(req, resp["body"])
        elif isinstance(resp.get("body"), list):
            resp["body"] = [self.body(req, x) if isinstance(x, dict) else x for x in resp["body"]]
        return resp

    def line(self, req, x):
        if not isinstance(x, dict):
            return x
        if "success" not in x:
            return self.document(x)
        if isinstance(x.get("document"), dict):
            return dict(x, document=self.document(x["document"]))
        if isinstance(x.get("document"), str):  # the line as it was sent
            raise Skip
        return x

    def body(self, req, body):
        if isinstance(body.get("results"), list):
            return dict(body, results=[self.body(req, r) if isinstance(r, dict) else r for r in body["results"]])
        if "hits" in body or "grouped_hits" in body or "facet_counts" in body:
            body = dict(body)
            if isinstance(body.get("hits"), list):
                body["hits"] = [self.hit(h) for h in body["hits"]]
            if isinstance(body.get("grouped_hits"), list):
                body["grouped_hits"] = [dict(g, group_key=self.group_key(g.get("group_key")), hits=[self.hit(h) for h in g["hits"]]) for g in body["grouped_hits"]]
            if isinstance(body.get("facet_counts"), list):
                body["facet_counts"] = [self.facet(f) for f in body["facet_counts"]]
            return body
        if isinstance(body.get("fields"), list):
            return self.schema(body)
        if "/documents" in req["path"] and req["path"].rsplit("/", 1)[-1] != "search":
            return self.document(body) if not {"num_deleted", "num_updated"} & set(body) else body
        return self.other(req["path"], body)


class Collections(Variant):
    doc = "collections have other names"

    def left_out(self, setup, case):  # an alias with the name of a collection
        return any(s["request"]["path"].startswith("/aliases/") and s["request"]["path"][len("/aliases/"):] in self.collections for s in steps(case))

    def name(self, name):
        return name + "_of_others" if name in self.collections else name

    def path(self, path):
        parts = path.split("/")
        if len(parts) > 2 and parts[1] == "collections":
            parts[2] = self.name(parts[2])
        return "/".join(parts)

    def params(self, params):
        return {k: self.name(v) if k in ("collection", "src_name") else v for k, v in params.items()}

    def schema(self, body):
        return dict(body, name=self.name(body["name"])) if isinstance(body.get("name"), str) else body

    def other(self, path, body):
        body = dict(body)
        for k in ("collection_name", "collection"):
            if isinstance(body.get(k), str):
                body[k] = self.name(body[k])
        if isinstance(body.get("aliases"), list):
            body["aliases"] = [self.other(path, a) for a in body["aliases"]]
        if isinstance(body.get("value"), dict):
            v = dict(body["value"])
            if isinstance(v.get("searches"), list):
                v["searches"] = [self.params(s) for s in v["searches"]]
            body["value"] = self.params(v)
        if isinstance(body.get("collections"), list):
            body["collections"] = [self.name(c) if isinstance(c, str) else c for c in body["collections"]]
        if isinstance(body.get("keys"), list):
            body["keys"] = [self.other(path, k) for k in body["keys"]]
        if (path == "/collections" or "num_documents" in body) and isinstance(body.get("name"), str):
            body["name"] = self.name(body["name"])
        return body


class Fields(Variant):
    doc = "fields have other names"

    def left_out(self, setup, case):
        # The order of fields made of objects and of patterns is that of a hash of their names, also in facets and groups; texts of errors name fields.
        objects = {n for n, f in self.fields.items() if f.get("type", "").startswith("object")}
        for s in steps(case):
            p = s["request"].get("params", {})
            if "*" in str(p.get("facet_by")) or p.get("group_by") in objects or isinstance(s["response"].get("body"), dict) and "error" in s["response"]["body"]:
                return True
        made = any("*" in n or f.get("type", "").startswith(("object", "auto")) for n, f in self.fields.items())
        return made and (case["area"] in ("autoschema", "collections", "fields") or '"fields"' in json.dumps(case)) or not self.fields

    def name(self, name):
        base, dot, rest = name.partition(".")
        return base + "_zq" + dot + rest if base in self.fields and base != "id" and "*" not in base else name

    def names(self, text):
        return re.sub(r"(?<![\w.`])\w+(?![\w])", lambda m: self.name(m.group(0)), text)

    def expression(self, text):
        return outside(text, r"`[^`]*`|\{[^}]*\}", lambda part: re.sub(r"(?<![\w.])\w+(?=(?:\.[\w.]+)?\.?\s*(?:[:({]|$))", lambda m: self.name(m.group(0)), part))

    def params(self, params):
        out = {}
        for k, v in params.items():
            if isinstance(v, str) and k in LISTS:
                v = self.names(v)
            elif isinstance(v, str) and k in EXPRESSIONS:
                v = self.expression(v)
            out[k] = v
        return out

    def schema(self, body):
        out = dict(body, fields=[dict(f, name=self.name(f["name"])) if isinstance(f, dict) and isinstance(f.get("name"), str) else f for f in body["fields"]])
        if isinstance(body.get("default_sorting_field"), str):
            out["default_sorting_field"] = self.name(body["default_sorting_field"])
        return out

    def document(self, doc):
        return {self.name(k): v for k, v in doc.items()}

    def other(self, path, body):
        body = self.params(body)
        for k in ("value", "rule"):
            if isinstance(body.get(k), dict):
                body[k] = self.params(body[k])
                if isinstance(body[k].get("searches"), list):
                    body[k]["searches"] = [self.params(s) for s in body[k]["searches"]]
        for k in ("overrides", "presets"):
            if isinstance(body.get(k), list):
                body[k] = [self.other(path, x) for x in body[k]]
        if "filter_by" in body:  # {placeholders} of fields
            body["filter_by"] = re.sub(r"\{(\w+)\}", lambda m: "{%s}" % self.name(m.group(1)), body["filter_by"])
        if isinstance(body.get("rule"), dict) and isinstance(body["rule"].get("query"), str):
            body["rule"] = dict(body["rule"], query=re.sub(r"\{(\w+)\}", lambda m: "{%s}" % self.name(m.group(1)), body["rule"]["query"]))
        return body

    def hit(self, hit):
        hit = dict(hit)
        if isinstance(hit.get("document"), dict):
            hit["document"] = self.document(hit["document"])
        if isinstance(hit.get("highlight"), dict):
            hit["highlight"] = self.document(hit["highlight"])
        if isinstance(hit.get("highlights"), list):
            hit["highlights"] = [dict(h, field=self.name(h["field"])) for h in hit["highlights"]]
        if isinstance(hit.get("geo_distance_meters"), dict):
            hit["geo_distance_meters"] = self.document(hit["geo_distance_meters"])
        return hit

    def facet(self, facet):
        return dict(facet, field_name=self.name(facet["field_name"]))


# Letters that have accents in the documents, or are what another letter is compared as: they stay what they are.
ACCENTED = set("acdeilnorsuyz")


class Letters(Variant):
    doc = "letters of texts and queries are other ones"

    def __init__(self, setup, case, rnd):
        super().__init__(setup, case, rnd)
        plain = [c for c in string.ascii_lowercase if c not in ACCENTED]
        to = list(plain)
        rnd.shuffle(to)
        self.table = str.maketrans("".join(plain + [c.upper() for c in plain]), "".join(to + [c.upper() for c in to]))

    def left_out(self, setup, case):
        # Languages and orders of texts depend on letters; words of the API and of its values are no texts; the order of stopwords is that of a hash.
        text = json.dumps(case)
        strings = {n for n, f in self.fields.items() if f.get("type", "").startswith("string")}
        requests = [s["request"] for s in steps(case)] + [r for s in steps(case) if isinstance(s["request"].get("body"), dict) for r in s["request"]["body"].get("searches", []) if isinstance(r, dict)]
        for r in requests:
            p = r.get("params", r)
            if any(re.match(r"\s*(%s)\s*[(:]" % "|".join(map(re.escape, strings)), k) for k in str(p.get("sort_by", "")).split(",")) or "(" in str(p.get("facet_by", "")):
                return True
        return (case["area"] in ("autoschema", "locale", "keys", "system", "collections", "aliases", "dirty", "fields") or "highlight_start_tag" in text or "max_filter_by_candidates" in text
                or '"id:' in text or '"/stopwords' in text or any(f.get("stem") or f.get("locale") for f in self.fields.values()))

    def text(self, text):
        return outside(text, r"</?mark>|\{\w+\}", lambda part: part.translate(self.table))

    def value(self, x):
        if isinstance(x, str):
            return self.text(x)
        if isinstance(x, list):
            return [self.value(y) for y in x]
        if isinstance(x, dict):
            return {k: self.value(v) for k, v in x.items()}
        return x

    def word(self, m):
        follows = m.string[m.end():].lstrip()[:1]
        if m.group(0) in KEYWORDS or m.string[m.start() - 1:m.start()] == "{" and follows == "}" or follows in (":", "(") and m.string[m.start() - 1:m.start()] != "`" or follows == "{" and m.group(0).endswith("."):
            return m.group(0)
        return m.group(0).translate(self.table)

    def expression(self, text):
        return "".join(part.translate(self.table) if i % 2 else re.sub(r"(?<!\w)[A-Za-z_][\w.]*", self.word, part) for i, part in enumerate(re.split(r"(`[^`]*`)", text)))

    def params(self, params):
        out = {}
        for k, v in params.items():
            if k == "q":
                v = self.value(v)
            elif isinstance(v, str) and k in ("filter_by", "facet_query") or isinstance(v, str) and k == "sort_by" and "_eval" in v:
                v = self.expression(v)
            out[k] = v
        return out

    def document(self, doc):
        return {k: v if k == "id" else self.value(v) for k, v in doc.items()}

    def other(self, path, body):
        body = self.params(body)
        for k in ("synonyms", "overrides", "presets"):
            if isinstance(body.get(k), list) and all(isinstance(x, dict) for x in body[k]):
                body[k] = [self.other(path, x) for x in body[k]]
        for k in ("synonyms", "stopwords", "root", "replace_query"):
            if k in body and not (isinstance(body[k], list) and body[k] and isinstance(body[k][0], dict)):
                body[k] = self.value(body[k])
        if isinstance(body.get("rule"), dict):
            body["rule"] = self.params(body["rule"])
            if isinstance(body["rule"].get("query"), str):
                body["rule"]["query"] = self.text(body["rule"]["query"])
        if isinstance(body.get("value"), dict):
            body["value"] = self.params(body["value"])
            if isinstance(body["value"].get("searches"), list):
                body["value"]["searches"] = [self.params(s) for s in body["value"]["searches"]]
        return body

    def hit(self, hit):
        hit = dict(hit)
        if isinstance(hit.get("document"), dict):
            hit["document"] = self.document(hit["document"])
        for k in ("highlight", "highlights"):
            if k in hit:
                hit[k] = self.marked(hit[k])
        return hit

    def marked(self, x):
        if isinstance(x, list):
            return [self.marked(y) for y in x]
        if isinstance(x, dict):
            return {k: v if k == "field" else self.marked(v) for k, v in x.items()}
        return self.value(x)

    def facet(self, facet):
        if not self.fields.get(facet["field_name"].partition(".")[0], {}).get("type", "").startswith(("string", "object")):
            return facet
        return dict(facet, counts=[c if c["value"] in ("true", "false") else dict(c, value=self.value(c["value"]), highlighted=self.value(c.get("highlighted", ""))) for c in facet["counts"]])

    def group_key(self, key):
        return self.value(key)


class Order(Variant):
    doc = "documents were imported in another order (ties are not compared)"

    def lines(self, docs):
        if not all("id" in d for d in docs) or len({d["id"] for d in docs}) < len(docs):
            raise Skip
        docs = list(docs)
        random.Random(self.rnd.seed_of_order).shuffle(docs)
        return docs

    def left_out(self, setup, case):
        # Only answers whose ties are recorded are compared: those of one search with all its hits. What groups and facets of all documents hold (the most
        # frequent values, a tie among them) depends on the order, and so do the places of pinned hits.
        if case["area"] in ("export", "byquery", "autoschema", "collections", "import", "documents", "curation", "aliases", "keys") or "pinned_hits" in json.dumps(case):
            return True
        for s in steps(case):
            body, p = s["response"].get("body"), s["request"].get("params", {})
            if not isinstance(body, dict):
                continue
            if "results" in body or "grouped_hits" in body or p.get("facet_by") and not p.get("filter_by") and p.get("facet_strategy") != "exhaustive":
                return True
            hits = body.get("hits") or []
            if body.get("found", 0) > 1 and (body["found"] > len(hits) or not isinstance(s.get("ties"), list)) and hits:
                return True
        return False


class Capitals(Variant):
    doc = "queries are in capitals"

    def left_out(self, setup, case):  # rules of curation compare the query as a whole; a language may have letters of its own
        return case["area"] in ("curation", "locale", "keys", "system", "presets") or not ascii_only(case)

    def params(self, params):
        return {k: v.upper() if k == "q" and isinstance(v, str) else v for k, v in params.items()}


# Recorded answers that are faults of 29.0 itself, which are not copied: docs/embedded-engine.md names them.
FAULTS = {
    "multi_search-028": "a union without documents whose key is that of another (typesense/typesense#3035)", "multi_search-035": "the same",
    "facet-009": "negative whole numbers of 64 bits add 2^64 to a sum", "facet-144": "the same", "group-068": "a sum counts documents of groups twice",
}

VARIANTS = {"collections": Collections, "fields": Fields, "letters": Letters, "order": Order, "capitals": Capitals}


def load(corpus):
    setups, cases = {}, []
    for name in sorted(os.listdir(os.path.join(corpus, "setups"))):
        with open(os.path.join(corpus, "setups", name), encoding="utf-8") as f:
            s = json.load(f)
            setups[s["name"]] = s
    for name in sorted(os.listdir(os.path.join(corpus, "cases"))):
        with open(os.path.join(corpus, "cases", name), encoding="utf-8") as f:
            cases += [json.loads(line) for line in f if line.strip()]
    return setups, cases


def write(kind, corpus, to, seed):
    """Write the variant as a corpus of its own and return the ids of its cases."""
    setups, cases = load(corpus)
    os.makedirs(os.path.join(to, "cases"))
    os.makedirs(os.path.join(to, "setups"))
    shutil.copytree(os.path.join(corpus, "datasets"), os.path.join(to, "datasets"))
    kept, made = [], {}
    for case in cases:
        setup = setups[case["setup"]]
        rnd = random.Random("%s %s" % (seed, case["setup"]))  # all cases of a setup share its documents
        rnd.seed_of_order = "%s %s" % (seed, case["setup"])
        v = kind(setup, case, rnd)
        if v.left_out(setup, case):
            continue
        try:
            changed = dict(case)
            for s in steps(changed):
                before = s["request"]
                s["request"], s["response"] = v.request(before, corpus, False), v.response(before, s["response"])
            if case["setup"] not in made:
                made[case["setup"]] = dict(setup, requests=[kind(setup, {"request": {}}, rnd_of(seed, case)).request(r, corpus, True) for r in setup["requests"]])
        except Skip:
            continue
        kept.append(changed)
    for setup in made.values():
        with open(os.path.join(to, "setups", setup["name"] + ".json"), "w", encoding="utf-8") as f:
            json.dump(setup, f, ensure_ascii=False)
    with open(os.path.join(to, "cases", "variant.jsonl"), "w", encoding="utf-8") as f:
        for case in kept:
            f.write(json.dumps(case, ensure_ascii=False) + "\n")
    return [c["id"] for c in kept]


def rnd_of(seed, case):
    rnd = random.Random("%s %s" % (seed, case["setup"]))
    rnd.seed_of_order = "%s %s" % (seed, case["setup"])
    return rnd


def replay(o, corpus, wiped):
    out = os.path.join(corpus if corpus != o.corpus else tempfile.gettempdir(), "result-%d.json" % os.getpid())
    command = [sys.executable, os.path.join(o.corpus, "compare.py"), "--url", o.url, "--key", o.key, "--corpus", corpus, "--quiet", "--json", out]
    subprocess.run(command + (["--wipe"] if wiped else []), check=True, stdout=subprocess.DEVNULL)
    with open(out, encoding="utf-8") as f:
        results = json.load(f)
    os.remove(out)
    return results


def lines_of(corpus, name):
    with open(os.path.join(corpus, "datasets", name), encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def union_key(search, number):
    """What a union of 29.0 takes a document for, of 64 bits: two documents may have the same."""
    return search ^ (number + 0x9E3779B97F4A7C15 + (search << 6) + (search >> 2) & (1 << 64) - 1)


def collides(case, corpus):
    """A union counts all of its books. Its page is the one of all of them in their order, without those whose key is that of one before, and not the one with them."""
    request, body = case["request"], case["response"]["body"]
    searches = [s["filter_by"].partition(":")[2] for s in request["body"]["searches"]]
    books = [(-b["popularity"], searches.index(b["language"]), -n, b["id"]) for n, b in enumerate(lines_of(corpus, "books.ndjson")) if b["language"] in searches]
    whole, left, taken = [], [], set()
    for _, search, number, book in sorted(books):
        key = union_key(search, -number)
        whole.append(book)
        if key not in taken:
            left.append(book)
        taken.add(key)
    page, size = (int(request.get("params", {}).get(k, d)) for k, d in (("page", 1), ("per_page", 10)))
    shown = [h["document"]["id"] for h in body["hits"]]
    cut = slice((page - 1) * size, page * size)
    return body["found"] == len(whole) and shown == left[cut] and shown != whole[cut]


def wrong_sum(case, corpus):
    """A facet of whole numbers shows all of its values with their counts, and a sum that is not theirs."""
    facet = case["response"]["body"]["facet_counts"][0]
    return len(facet["counts"]) == facet["stats"]["total_values"] and abs(sum(int(c["value"]) * c["count"] for c in facet["counts"]) - facet["stats"]["sum"]) > 1


def counted_twice(case, corpus):
    """The sum of a facet, of which each document has one value, is that of more values than there are documents."""
    body = case["response"]["body"]
    stats = body["facet_counts"][0]["stats"]
    return round(stats["sum"] / stats["avg"]) > body["found_docs"]


# What shows that an answer contradicts itself, by the recorded answer and the documents it is of.
PROOFS = {"multi_search-028": collides, "multi_search-035": collides, "facet-009": wrong_sum, "facet-144": wrong_sum, "group-068": counted_twice}


def unproven(corpus):
    """Those of FAULTS that no contradiction shows."""
    cases = {c["id"]: c for c in load(corpus)[1]}
    return [i for i in FAULTS if not PROOFS[i](cases[i], corpus)]


def faults(recorded, corpus):
    """Print the areas with faults of 29.0 with and without those answers. Whether an area is low without them, or one of them is no fault."""
    low = False
    for i in unproven(corpus):
        low = True
        print("%s is called a fault of 29.0, and does not contradict itself" % i)
    for area in sorted({r["area"] for r in recorded.values()}):
        ids = [i for i, r in recorded.items() if r["area"] == area]
        rest = [i for i in ids if i not in FAULTS]
        share = [100 * sum(recorded[i]["useful"] for i in some) / len(some) for some in (ids, rest)]
        low = low or share[1] < 92
        if len(rest) < len(ids):
            print("%-12s %5.1f%% useful of all %d; %5.1f%% without %d that are faults of 29.0 (%s)" % (area, share[0], len(ids), share[1], len(ids) - len(rest), ", ".join(sorted(set(ids) - set(rest)))))
    return low


def main():
    ap = argparse.ArgumentParser()
    for name in ("url", "key", "corpus"):
        ap.add_argument("--" + name, required=True)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--recorded", help="the result of compare.py --json for the recorded answers, to save a replay")
    ap.add_argument("--least", type=float, default=95)
    ap.add_argument("--variant", choices=VARIANTS)
    o = ap.parse_args()
    if o.recorded:
        with open(o.recorded, encoding="utf-8") as f:
            recorded = json.load(f)
    else:
        recorded = replay(o, o.corpus, False)
    low = faults(recorded, o.corpus)
    print("%-12s %6s %9s %9s %7s   seed %d" % ("variant", "cases", "recorded", "variant", "kept", o.seed))
    for name, kind in VARIANTS.items():
        if o.variant and o.variant != name:
            continue
        with tempfile.TemporaryDirectory() as to:
            ids = write(kind, o.corpus, to, o.seed)
            results = replay(o, to, True)
        good = [i for i in ids if recorded[i]["useful"]]
        lost = [i for i in good if not results[i]["useful"]]
        kept = 100 * (len(good) - len(lost)) / len(good)
        low = low or kept < o.least
        print("%-12s %6d %8.1f%% %8.1f%% %6.1f%%   %s" % (name, len(ids), 100 * len(good) / len(ids), 100 * sum(results[i]["useful"] for i in ids) / len(ids), kept, kind.doc))
        for i in lost:
            print("    %s: %s" % (i, results[i]["why"]))
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
