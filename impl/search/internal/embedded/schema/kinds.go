package schema

// kinds are the types of fields. Undeclared values are tested against them in this order.
var kinds = []kind{
	textKind{},
	boolKind{},
	wholeKind{bits: 64},
	wholeKind{bits: 32},
	floatKind{},
	objectKind{},
	pointKind{},
	polygonKind{},
	imageKind{},
	autoKind{},
	anyKind{},
}

// kindCalled returns the kind with this name in a schema.
func kindCalled(name string) (k kind, array, ok bool) {
	for _, k := range kinds {
		if name == k.name() {
			return k, false, true
		}
		if k.lists() && name == k.name()+"[]" {
			return k, true, true
		}
	}
	return nil, false, false
}

// detect returns the kind of an undeclared value. Nulls and empty lists have none, and neither have objects unless objects is set.
func detect(raw any, objects bool) (k kind, array, ok bool) {
	if list, isList := raw.([]any); isList {
		if len(list) == 0 {
			return nil, false, false
		}
		k, array, ok = detect(list[0], objects)
		return k, true, ok && !array
	}
	for _, k := range kinds {
		if k.detects(raw) && (objects || !k.nests()) {
			return k, false, true
		}
	}
	return nil, false, false
}
