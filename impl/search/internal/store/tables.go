package store

import "github.com/fountainai/fountain/internal/store"

// Tables are search's own, with what bounds each.
var Tables = []store.Table{
	{Name: "creations", Bound: "deleted when they are old"},
	{Name: "data_keys", Bound: "one row"},
}
