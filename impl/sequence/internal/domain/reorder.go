package domain

import "slices"

// Reorder redistributes the numbers that the listed elements have now among them, ascending in the order listed. Other elements keep their numbers.
type Reorder struct {
	Group
	Order   []string // ids
	Comment *string
	Actor   Actor
}

// NumberChange is the old and the new number of an element.
type NumberChange struct {
	ID       string
	From, To int64
}

// Check refuses ids that are listed twice. It returns an *InvalidItems or nil.
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

// Changes returns the number changes of the listed elements. held has their present numbers, by id. Elements whose number stays are left
// out. An id that held does not have is no element of the group: the error is an *InvalidItems.
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
