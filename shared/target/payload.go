package target

import (
	"errors"
	"io"
	"sync/atomic"
)

var (
	errDetached   = errors.New("the request is being sent to another server")
	errNoAudience = errors.New("the audience of the ID token is empty")
)

// payload is the body of a request. Bytes can be sent any number of times, a
// stream only while nothing was read from it.
type payload struct {
	data   []byte
	stream io.ReadCloser // instead of data
	length int64         // -1 when not known

	current *streamBody           // the stream's reader of the latest attempt
	failed  atomic.Pointer[error] // what reading the stream met
	closed  atomic.Bool
}

// open returns a reader for one attempt, nil if there is no body.
func (p *payload) open(a *attempt) io.ReadCloser {
	switch {
	case p.stream != nil:
		p.current = &streamBody{p: p, a: a}
		return p.current
	case len(p.data) > 0:
		return &dataBody{rest: p.data, a: a}
	}
	return nil
}

// again reports whether the body can be sent once more, and makes sure that
// the attempt before does not touch it any longer.
func (p *payload) again() bool {
	return p.stream == nil || p.current == nil || p.current.state.CompareAndSwap(unread, detached)
}

// close closes the stream once nobody needs it.
func (p *payload) close() {
	if p.stream != nil && p.closed.CompareAndSwap(false, true) {
		p.stream.Close()
	}
}

// err returns the error that reading the caller's body met, if any.
func (p *payload) err() error {
	if e := p.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// dataBody reads bytes.
type dataBody struct {
	rest []byte
	a    *attempt
}

func (b *dataBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.a.progress()
	return n, nil
}

func (b *dataBody) Close() error { return nil }

const (
	unread int32 = iota
	begun
	detached
)

// streamBody reads the stream on behalf of one attempt.
type streamBody struct {
	p     *payload
	a     *attempt
	state atomic.Int32
}

func (b *streamBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(unread, begun) && b.state.Load() == detached {
		return 0, errDetached
	}
	b.a.upload.Store(true)
	n, err := b.p.stream.Read(p)
	b.a.upload.Store(false)
	b.a.progress()
	if err != nil && err != io.EOF {
		b.p.failed.Store(&err)
	}
	return n, err
}

// Close is called by the transport when it is done. A stream that was not read
// may still go to another server; whoever sends it closes it.
func (b *streamBody) Close() error {
	if b.state.Load() == begun {
		b.p.close()
	}
	return nil
}
