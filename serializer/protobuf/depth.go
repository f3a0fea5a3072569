package protobuf

import "google.golang.org/protobuf/reflect/protoreflect"

// deeper reports whether a message is nested deeper than limit, as the decoder counts: each message, and each entry of a
// map.
func deeper(m protoreflect.Message, limit int) (found bool) {
	if limit < 1 {
		return true
	}
	limit--
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap():
			found = mapDeeper(field, v.Map(), limit)
		case field.Message() == nil:
		case field.IsList():
			for list, i := v.List(), 0; i < list.Len() && !found; i++ {
				found = deeper(list.Get(i).Message(), limit)
			}
		default:
			found = deeper(v.Message(), limit)
		}
		return !found
	})
	return found
}

func mapDeeper(field protoreflect.FieldDescriptor, entries protoreflect.Map, limit int) (found bool) {
	if limit < 1 {
		return true
	}
	if field.MapValue().Message() == nil {
		return false
	}
	entries.Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
		found = deeper(v.Message(), limit-1)
		return !found
	})
	return found
}
