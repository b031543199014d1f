//go:build unix

package syslog

import "syscall"

func peekFD(fd uintptr) peeked {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch {
	case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR:
		return quiet
	case err != nil || n <= 0:
		return ended
	}
	return pending
}
