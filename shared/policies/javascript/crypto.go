package javascript

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/javatime"
)

// cryptoObject is the object crypto.
type cryptoObject struct {
	*call
	readOnly
}

// Get implements goja.DynamicObject.
func (o *cryptoObject) Get(name string) goja.Value {
	switch name {
	case "getMD5":
		return o.hashOf("MD5")
	case "getSHA1":
		return o.hashOf("SHA-1")
	case "getSHA256":
		return o.hashOf("SHA-256")
	case "getSHA512":
		return o.hashOf("SHA-512")
	case "getHash":
		return o.method(func(args []goja.Value) goja.Value { return o.newHash(textOf(arg(args, 0))) })
	case "dateFormat":
		return o.method(o.dateFormat)
	case "wsSecRsaSign":
		return o.method(o.wsSecRsaSign)
	case "wsSecRsaValidate":
		return o.method(o.wsSecRsaValidate)
	}
	return nil
}

// Has implements goja.DynamicObject.
func (o *cryptoObject) Has(name string) bool { return o.Get(name) != nil }

// Keys implements goja.DynamicObject.
func (o *cryptoObject) Keys() []string {
	return []string{"getMD5", "getSHA1", "getSHA256", "getSHA512", "getHash", "dateFormat", "wsSecRsaSign", "wsSecRsaValidate"}
}

func (o *cryptoObject) hashOf(algorithm string) goja.Value {
	return o.method(func([]goja.Value) goja.Value { return o.newHash(algorithm) })
}

func (o *cryptoObject) newHash(algorithm string) goja.Value {
	var h hash.Hash
	switch strings.ToUpper(algorithm) {
	case "MD5":
		h = md5.New()
	case "SHA-1", "SHA1":
		h = sha1.New()
	case "SHA-256", "SHA256":
		h = sha256.New()
	case "SHA-512", "SHA512":
		h = sha512.New()
	default:
		o.rt.Throw("Error", "crypto.getHash: unknown algorithm "+algorithm)
	}
	return o.object(&hashObject{call: o.call, h: h})
}

// hashObject is a hash in the making.
type hashObject struct {
	*call
	readOnly
	h hash.Hash
}

// Get implements goja.DynamicObject. A digest leaves the hash as it is.
func (o *hashObject) Get(name string) goja.Value {
	switch name {
	case "update":
		return o.method(func(args []goja.Value) goja.Value {
			o.h.Write([]byte(textOf(arg(args, 0))))
			return goja.Undefined()
		})
	case "digest":
		return o.method(func([]goja.Value) goja.Value { return o.rt.ToValue(hex.EncodeToString(o.h.Sum(nil))) })
	case "digest64":
		return o.method(func([]goja.Value) goja.Value {
			return o.rt.ToValue(base64.StdEncoding.EncodeToString(o.h.Sum(nil)))
		})
	}
	return nil
}

// Has implements goja.DynamicObject.
func (o *hashObject) Has(name string) bool { return o.Get(name) != nil }

// Keys implements goja.DynamicObject.
func (o *hashObject) Keys() []string { return []string{"update", "digest", "digest64"} }

// dateFormat is crypto.dateFormat(format[, zone[, time]]): Java patterns, UTC
// and now by default.
func (o *cryptoObject) dateFormat(args []goja.Value) goja.Value {
	layout, err := javatime.Compile(textOf(arg(args, 0)))
	if err != nil {
		o.rt.Throw("Error", "crypto.dateFormat: "+err.Error())
	}
	zone := time.UTC
	if v := arg(args, 1); !isNothing(v) {
		zone = javatime.Zone(v.String())
	}
	at := o.fc.Now()
	if v := arg(args, 2); !isNothing(v) {
		at = time.UnixMilli(v.ToInteger())
		if t, ok := v.Export().(time.Time); ok {
			at = t
		}
	}
	return o.rt.ToValue(layout.Format(at.In(zone)))
}
