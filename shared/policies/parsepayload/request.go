package parsepayload

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/perigee-gateway/perigee/shared/jsontoken"
)

// request is what decides of a JSON-RPC request; the zero one asks for nothing.
type request struct {
	method string
	id     string // as written, a string without its quotes; "" if there is none
	tool   string // params.name
}

const callTool = "tools/call"

func (r *request) operation() string {
	if r.method == callTool {
		return callTool + "/" + r.tool
	}
	return r.method
}

var parsers = sync.Pool{New: func() any { return new(parser) }}

// parse reads one request: https://www.jsonrpc.org/specification section 4.
func parse(body []byte) (request, error) {
	if len(bytes.TrimLeft(body, " \t\r\n")) == 0 {
		return request{}, nil
	}
	p := parsers.Get().(*parser)
	defer parsers.Put(p)
	defer p.Reset(nil, 0)
	p.Reset(body, 0)
	p.state = state{}
	if err := p.object(p.member); err != nil {
		return request{}, err
	}
	if _, err := p.Next(); err != nil { // what follows is none of it
		return request{}, err
	}
	switch {
	case !p.version:
		return request{}, errors.New(`"jsonrpc" is not "2.0"`)
	case p.method == "" && p.answers:
		return request{}, nil
	case p.method == "":
		return request{}, errors.New("there is no method")
	case p.method == callTool && p.tool == "":
		return request{}, errors.New(callTool + " names no tool")
	}
	return p.request, nil
}

type parser struct {
	jsontoken.Scanner
	state
	buf []byte // of the name at hand
}

// state is what was read so far.
type state struct {
	request
	version, answers bool
	seen             [len(members)]bool
	named            bool // params.name was there
}

// members are the names that decide.
var members = [...]string{"jsonrpc", "method", "id", "params", "result", "error"}

// object reads an object; member reads the value behind each name.
func (p *parser) object(member func(name []byte) error) error {
	kind, err := p.Next()
	if err != nil {
		return err
	}
	if kind != jsontoken.ObjectStart {
		return errors.New("it is no object")
	}
	for {
		kind, err := p.Next()
		if err != nil || kind == jsontoken.ObjectEnd {
			return err
		}
		if err := member(p.name()); err != nil {
			return err
		}
	}
}

// member reads a member of the request.
func (p *parser) member(name []byte) error {
	for i, m := range members {
		if !bytes.EqualFold(name, []byte(m)) {
			continue
		}
		if string(name) != m || p.seen[i] {
			return fmt.Errorf("%q is there twice, or in other case", m)
		}
		p.seen[i] = true
	}
	switch string(name) {
	case "jsonrpc":
		v, err := p.string()
		p.version = v == "2.0"
		return err
	case "method":
		v, err := p.string()
		if err == nil && v == "" {
			return errors.New("the method is empty")
		}
		p.method = v
		return err
	case "id":
		return p.readID()
	case "params":
		return p.params()
	case "result", "error":
		p.answers = true
	}
	return p.skip()
}

func (p *parser) readID() error {
	kind, err := p.Next()
	switch {
	case err != nil:
		return err
	case kind == jsontoken.String || kind == jsontoken.Number:
		p.id = p.text()
		return nil
	case kind == jsontoken.Null:
		return nil
	}
	return errors.New("the id is neither a string nor a number")
}

// params reads the name of a tool. Parameters by position have none.
func (p *parser) params() error {
	kind, err := p.Next()
	if err != nil || kind != jsontoken.ObjectStart {
		return p.end(kind, err)
	}
	for {
		kind, err := p.Next()
		if err != nil || kind == jsontoken.ObjectEnd {
			return err
		}
		name := p.name()
		if !bytes.EqualFold(name, []byte("name")) {
			err = p.skip()
		} else if string(name) != "name" || p.named {
			return errors.New(`"name" of the parameters is there twice, or in other case`)
		} else {
			p.named = true
			p.tool, err = p.scalar()
		}
		if err != nil {
			return err
		}
	}
}

// string reads a string.
func (p *parser) string() (string, error) {
	kind, err := p.Next()
	if err == nil && kind != jsontoken.String {
		err = errors.New("a member of the request is no string")
	}
	if err != nil {
		return "", err
	}
	return p.text(), nil
}

// scalar reads any value and returns it if it is a string.
func (p *parser) scalar() (string, error) {
	kind, err := p.Next()
	if err == nil && kind == jsontoken.String {
		return p.text(), nil
	}
	return "", p.end(kind, err)
}

// skip reads any value.
func (p *parser) skip() error { return p.end(p.Next()) }

// end reads to the end of the value that began with kind.
func (p *parser) end(kind jsontoken.Kind, err error) error {
	if kind != jsontoken.ObjectStart && kind != jsontoken.ArrayStart {
		return err
	}
	for depth := p.Depth(); err == nil && p.Depth() >= depth; {
		_, err = p.Next()
	}
	return err
}

// name is the name at hand, until the next one.
func (p *parser) name() []byte {
	p.buf = jsontoken.AppendText(p.buf[:0], p.Data())
	return p.buf
}

func (p *parser) text() string { return string(jsontoken.AppendText(nil, p.Data())) }
