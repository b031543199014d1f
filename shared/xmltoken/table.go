package xmltoken

import (
	"bytes"
	"hash/maphash"
)

// few is up to how many attributes are compared with each other.
const few = 12

// table finds attributes of one name in linear time, however many there are. A
// seed of its own keeps callers from choosing names that collide.
type table struct {
	seed  maphash.Seed
	slots []int32 // index of an attribute, plus 1
}

// duplicates refuses an element that has two attributes of one name.
func (s *Scanner) duplicates() error {
	if len(s.attrs) > few {
		return s.manyDuplicates()
	}
	for i := 1; i < len(s.attrs); i++ {
		for j := range i {
			if bytes.Equal(s.slice(s.attrs[i].name), s.slice(s.attrs[j].name)) {
				return s.duplicate(i)
			}
		}
	}
	return nil
}

func (s *Scanner) duplicate(i int) error {
	return s.fail(int(s.attrs[i].name.from), "attribute appears twice")
}

func (s *Scanner) manyDuplicates() error {
	t := &s.names
	if t.seed == (maphash.Seed{}) {
		t.seed = maphash.MakeSeed()
	}
	size := 2 * few
	for size < 2*len(s.attrs) {
		size *= 2
	}
	if cap(t.slots) < size {
		t.slots = make([]int32, size)
	}
	t.slots = t.slots[:size]
	clear(t.slots)
	for i := range s.attrs {
		name := s.slice(s.attrs[i].name)
		at := int(maphash.Bytes(t.seed, name) % uint64(size))
		for t.slots[at] != 0 {
			if bytes.Equal(name, s.slice(s.attrs[t.slots[at]-1].name)) {
				return s.duplicate(i)
			}
			at = (at + 1) % size
		}
		t.slots[at] = int32(i + 1)
	}
	return nil
}
