package target

import (
	"context"
	"io"
	"net/http"
)

// switchProtocols hands over the connection of a 101. It is closed when the
// caller's context ends; from then on silence is no fault.
func (in *incoming) switchProtocols(ctx context.Context, resp *http.Response, a *attempt) error {
	a.stop()
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		resp.Body.Close()
		return io.ErrUnexpectedEOF
	}
	in.length = -1
	in.body = &upgraded{ReadWriteCloser: rwc, stop: context.AfterFunc(ctx, func() { rwc.Close() })}
	return nil
}

// upgraded is the connection of a WebSocket.
type upgraded struct {
	io.ReadWriteCloser
	stop func() bool
}

func (u *upgraded) Close() error {
	u.stop()
	return u.ReadWriteCloser.Close()
}

// responseBody is the body of a response: reading it is bounded by the io
// timeout, and its errors are the context's cause.
type responseBody struct {
	rc io.ReadCloser
	*attempt
	ctx    context.Context
	closed bool
}

func (b *responseBody) Read(p []byte) (int, error) {
	b.resume()
	n, err := b.rc.Read(p)
	b.pause()
	if err == nil {
		return n, nil
	}
	if cause := context.Cause(b.ctx); cause != nil && err != io.EOF {
		err = cause
	}
	b.finish()
	return n, err
}

func (b *responseBody) Close() error {
	err := b.rc.Close()
	b.finish()
	return err
}

func (b *responseBody) finish() {
	if !b.closed {
		b.closed = true
		b.stop()
		b.cancel(nil)
	}
}
