//go:build !unix

package target

import "net"

// alive cannot tell here: a kept connection is used only for requests that may
// be repeated.
func alive(net.Conn) bool { return false }
