package store

import "github.com/fountainai/fountain/internal/store"

// Tables are the tables of this service, each with what bounds its size.
var Tables = []store.Table{
	{Name: "changes", Bound: "one for each change, kept for ever"},
	{Name: "counters", Bound: "one for each scope and type"},
	{Name: "data_keys", Bound: "one row"},
	{Name: "elements", Bound: "the callers' own data"},
	{Name: "feed_name", Bound: "one row"},
	{Name: "feeds", Bound: "one for each scope"},
	{Name: "number_formats", Bound: "one for each scope and type with one"},
	{Name: "outbox", Bound: "one for each element that search does not have yet"},
	{Name: "outbox_dead_letters", Bound: "one for each element that search has refused"},
	{Name: "reorder_moves", Bound: "10,000 for each of reorders at most"},
	{Name: "reorders", Bound: "one for each scope and type with a long reorder or move under way"},
	{Name: "scope_loads", Bound: "one for each import under way"},
	{Name: "scope_origins", Bound: "one for each scope that was imported"},
	{Name: "search_walks", Bound: "one for each scope that is marked for search"},
	{Name: "shifts", Bound: "one for each scope and type with a long move that was shown and whose rows are not all written"},
	{Name: "versions", Bound: "the callers' own data"},
}
