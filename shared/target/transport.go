package target

import (
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Limits of what targets answer, and of the connections kept to them.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	maxResponseHeader = 60 << 10 // bytes, status line included
	maxIdlePerHost    = 512
	maxTransports     = 512 // names of trust stores and certificates may come from variables
)

// How a forward proxy is used.
const (
	direct proxyUse = iota
	tunnelled
	forwarded // plain HTTP through the proxy, no tunnel
)

type proxyUse uint8

// identity is all that one set of connections has in common. Two calls with
// the same identity may share connections, others may not.
type identity struct {
	tls                string // fingerprint of the tlsIdentity; "" is the default
	connect, keepAlive time.Duration
	http2, http10      bool
	proxy              proxyUse
}

// transports are the sets of connections in use, by identity.
type transports struct {
	mu    sync.Mutex
	byKey map[identity]roundTripper
}

// get returns the transport for key, made by open if there is none.
func (t *transports) get(key identity, open func() roundTripper) roundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rt, ok := t.byKey[key]; ok {
		return rt
	}
	if t.byKey == nil {
		t.byKey = map[identity]roundTripper{}
	}
	for k, old := range t.byKey {
		if len(t.byKey) < maxTransports {
			break
		}
		delete(t.byKey, k)
		old.closeIdle()
	}
	rt := open()
	t.byKey[key] = rt
	return rt
}

// retire forgets the transport for key: its certificate or trust store was
// replaced. Calls under way finish on their connections.
func (t *transports) retire(key identity) {
	t.mu.Lock()
	rt := t.byKey[key]
	delete(t.byKey, key)
	t.mu.Unlock()
	if rt != nil {
		rt.closeIdle()
	}
}

// closeIdle closes the connections that no call uses.
func (t *transports) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rt := range t.byKey {
		rt.closeIdle()
	}
}

// transport returns the connections for an identity.
func (p *Pool) transport(key identity, id *tlsIdentity) roundTripper {
	return p.transports.get(key, func() roundTripper { return p.newClient(key, id) })
}

func (p *Pool) newClient(key identity, id *tlsIdentity) roundTripper {
	d := &dialer{net: net.Dialer{Timeout: key.connect, KeepAlive: 30 * time.Second}, tls: id, plan: key, now: p.opts.Now}
	t := &http.Transport{
		DialContext:            d.dialHTTP,
		DialTLSContext:         d.dialHTTPS,
		DisableCompression:     true,
		DisableKeepAlives:      key.http10,
		IdleConnTimeout:        key.keepAlive,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
		Protocols:              new(http.Protocols),
	}
	switch key.proxy {
	case tunnelled:
		d.via = p.proxy
	case forwarded:
		t.Proxy = func(*http.Request) (*url.URL, error) { return p.proxy.url, nil }
	}
	if key.http10 {
		t.WriteBufferSize = 64 << 10 // the request line in one piece: see http10Conn
	}
	t.Protocols.SetHTTP1(!key.http2)
	t.Protocols.SetHTTP2(key.http2)
	t.Protocols.SetUnencryptedHTTP2(key.http2)
	rest := &httpClient{transport: t, forwarded: key.proxy == forwarded}
	if key.http2 || key.http10 || key.proxy == forwarded {
		return rest
	}
	return &leanClient{rest: rest, dial: d, keepAlive: key.keepAlive}
}
