package store

import "github.com/fountainai/fountain/internal/store"

// Tables lists the search service's own tables, and what limits the size of each.
var Tables = []store.Table{
	{Name: "collections", Bound: "a row for each collection of the engine"},
	{Name: "collection_grants", Bound: "100 for each collection"},
	{Name: "creations", Bound: "deleted when they are old"},
	{Name: "data_keys", Bound: "one row"},
	{Name: "document_versions", Bound: "a row for each document of a collection that keeps versions, for two hours after its deletion too"},
	{Name: "job_failures", Bound: "10,000 for each job; deleted with it"},
	{Name: "job_parts", Bound: "1 GiB of items that wait; deleted when they were carried out"},
	{Name: "job_room", Bound: "one row"},
	{Name: "jobs", Bound: "10 under way for each tenant or service; of those that have ended the last 100 of each collection, for 3 days"},
	{Name: "reindexes", Bound: "the last 100 of each collection"},
	{Name: "reindex_notes", Bound: "a row for each document that was written during a reindex, until it is copied; deleted with the copy that is kept"},
	{Name: "search_sets", Bound: "200 of each owner"},
	{Name: "search_set_owners", Bound: "a row for each owner of sets"},
	{Name: "replicas", Bound: "a row for each process, deleted minutes after its end"},
}
