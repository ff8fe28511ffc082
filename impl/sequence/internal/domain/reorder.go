package domain

import "slices"

// Reorder lets the listed elements share out, in the order listed, the numbers they hold now.
type Reorder struct {
	Group
	Order   []string // ids
	Comment *string
	Actor   Actor
}

// NumberChange is an element's old and new number.
type NumberChange struct {
	ID       string
	From, To int64
}

// Check finds ids that are listed twice. It returns an *InvalidItems or nil.
func (r *Reorder) Check() error {
	var faults []ItemFault
	seen := make(map[string]bool, len(r.Order))
	for i, id := range r.Order {
		if seen[id] {
			faults = append(faults, ItemFault{Index: i, Rule: "uniqueItems", Message: "is listed twice"})
		}
		seen[id] = true
	}
	if len(faults) > 0 {
		return &InvalidItems{Faults: faults}
	}
	return nil
}

// Changes returns who gets which number when held are the numbers of the group's listed elements now; those whose number stays
// are left out. An id without a number is no element of the group: *InvalidItems.
func (r *Reorder) Changes(held map[string]int64) ([]NumberChange, error) {
	var faults []ItemFault
	numbers := make([]int64, 0, len(r.Order))
	for i, id := range r.Order {
		number, ok := held[id]
		if !ok {
			faults = append(faults, ItemFault{Index: i, Rule: "exists", Message: "is not an element of this type in this scope"})
			continue
		}
		numbers = append(numbers, number)
	}
	if len(faults) > 0 {
		return nil, &InvalidItems{Faults: faults}
	}
	slices.Sort(numbers)
	changes := make([]NumberChange, 0, len(r.Order))
	for i, id := range r.Order {
		if from, to := held[id], numbers[i]; from != to {
			changes = append(changes, NumberChange{ID: id, From: from, To: to})
		}
	}
	return changes, nil
}
