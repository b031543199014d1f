package bundle

// Decode fills the struct into points at from el by its xml tags.
func Decode(el *Element, into any, problems *Problems) {}
