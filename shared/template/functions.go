package template

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // md5Hex and hmacMd5 are Apigee's
	"crypto/sha1" //nolint:gosec // sha1Hex and hmacSha1 are Apigee's
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"github.com/perigee-gateway/perigee/shared/javaregex"
	"github.com/perigee-gateway/perigee/shared/javatime"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
)

// functions are all template functions by name.
var functions = map[string]*function{
	"md5Hex":       text(hexHash(md5.New)),
	"sha1Hex":      text(hexHash(sha1.New)),
	"sha256Hex":    text(hexHash(sha256.New)),
	"sha384Hex":    text(hexHash(sha512.New384)),
	"sha512Hex":    text(hexHash(sha512.New)),
	"md5Base64":    text(base64Hash(md5.New)),
	"sha1Base64":   text(base64Hash(sha1.New)),
	"sha256Base64": text(base64Hash(sha256.New)),
	"sha384Base64": text(base64Hash(sha512.New384)),
	"sha512Base64": text(base64Hash(sha512.New)),

	"hmacMd5":    keyed(md5.New),
	"hmacSha1":   keyed(sha1.New),
	"hmacSha224": keyed(sha256.New224),
	"hmacSha256": keyed(sha256.New),
	"hmacSha384": keyed(sha512.New384),
	"hmacSha512": keyed(sha512.New),

	"encodeBase64": text(func(dst []byte, s string) []byte { return base64.StdEncoding.AppendEncode(dst, []byte(s)) }),
	"decodeBase64": text(decodeBase64),
	"toUpperCase":  text(upper),
	"toLowerCase":  text(lower),
	"escapeJSON":   text(jsonpath.AppendEscaped),
	"escapeXML":    text(escapeXML),
	"escapeXML11":  text(escapeXML11),
	"encodeHTML":   text(encodeHTML),
	"escapeHTML":   text(encodeHTML), // as an example of the documentation names it

	"substring":    {min: 2, max: 3, run: substring},
	"replaceAll":   replacing((*javaregex.Regexp).ReplaceAll),
	"replaceFirst": replacing((*javaregex.Regexp).ReplaceFirst),

	"timeFormat":      clock(time.Second, true),
	"timeFormatMs":    clock(time.Millisecond, true),
	"timeFormatUTC":   clock(time.Second, false),
	"timeFormatUTCMs": clock(time.Millisecond, false),

	"createUuid":   {random: true, run: createUUID},
	"randomLong":   {max: 2, random: true, run: randomLong},
	"xeger":        {min: 1, max: 1, random: true, run: runXeger, programs: map[int]func(string) (program, error){0: compileXeger}},
	"firstnonnull": {min: 1, max: maxArgs, nulls: true},

	"jsonPath": {min: 2, max: 3, run: runJSONPath, programs: map[int]func(string) (program, error){0: compileJSONPath}},
	"xpath":    {min: 2, max: maxArgs, run: runXPath, prepare: prepareXPath},
}

// text is a function of one text that cannot fail.
func text(f func(dst []byte, s string) []byte) *function {
	return &function{min: 1, max: 1, run: func(dst []byte, in *input) ([]byte, error) {
		return f(dst, in.args[0]), nil
	}}
}

func digest(newHash func() hash.Hash, s string) []byte {
	h := newHash()
	h.Write([]byte(s))
	return h.Sum(nil)
}

func hexHash(newHash func() hash.Hash) func([]byte, string) []byte {
	return func(dst []byte, s string) []byte { return hex.AppendEncode(dst, digest(newHash, s)) }
}

func base64Hash(newHash func() hash.Hash) func([]byte, string) []byte {
	return func(dst []byte, s string) []byte { return base64.StdEncoding.AppendEncode(dst, digest(newHash, s)) }
}

// keyed is a HMAC of (key, value[, encoding of key[, encoding of result]]).
func keyed(newHash func() hash.Hash) *function {
	return &function{min: 2, max: 4, run: func(dst []byte, in *input) ([]byte, error) {
		key, err := decodeKey(in.args[0], in.arg(2, "utf-8"))
		if err != nil {
			return nil, err
		}
		mac := hmac.New(newHash, key)
		mac.Write([]byte(in.args[1]))
		switch out := in.arg(3, "base64"); strings.ToLower(out) {
		case "base64":
			return base64.StdEncoding.AppendEncode(dst, mac.Sum(nil)), nil
		case "hex", "base16":
			return hex.AppendEncode(dst, mac.Sum(nil)), nil
		default:
			return nil, fmt.Errorf("unknown output encoding %q", out)
		}
	}}
}

// decodeKey decodes a key. Its errors do not quote the key.
func decodeKey(key, encoding string) ([]byte, error) {
	var b []byte
	var err error
	switch strings.ToLower(encoding) {
	case "utf-8", "utf8":
		return []byte(key), nil
	case "hex", "base16":
		b, err = hex.DecodeString(key)
	case "base64":
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(key, "="))
	default:
		return nil, fmt.Errorf("unknown key encoding %q", encoding)
	}
	if err != nil {
		return nil, errors.New("the key is not " + encoding)
	}
	return b, nil
}

// decodeBase64 gives nothing for text that is not Base64, such as Base64URL.
func decodeBase64(dst []byte, s string) []byte {
	out, err := base64.RawStdEncoding.AppendDecode(dst, []byte(strings.TrimRight(s, "=")))
	if err != nil {
		return dst
	}
	return out
}

func upper(dst []byte, s string) []byte {
	if isASCII(s) {
		return append(dst, strings.ToUpper(s)...)
	}
	return append(dst, cases.Upper(language.Und).String(s)...)
}

func lower(dst []byte, s string) []byte {
	if isASCII(s) {
		return append(dst, strings.ToLower(s)...)
	}
	return append(dst, cases.Lower(language.Und).String(s)...)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// substring counts in UTF-16 units, as Java does; negative counts from the end.
func substring(dst []byte, in *input) ([]byte, error) {
	from, err := strconv.Atoi(in.args[1])
	if err != nil {
		return nil, fmt.Errorf("index %q is not a number", in.args[1])
	}
	s := in.args[0]
	var units []uint16
	n := len(s)
	if !isASCII(s) {
		units = utf16.Encode([]rune(s))
		n = len(units)
	}
	to := n
	if in.n == 3 {
		if to, err = strconv.Atoi(in.args[2]); err != nil {
			return nil, fmt.Errorf("index %q is not a number", in.args[2])
		}
	}
	from, to = clamp(from, n), clamp(to, n)
	switch {
	case from >= to:
		return dst, nil
	case units != nil:
		return append(dst, string(utf16.Decode(units[from:to]))...), nil
	}
	return append(dst, s[from:to]...), nil
}

func clamp(i, n int) int {
	if i < 0 {
		i += n
	}
	return max(0, min(i, n))
}

func compileRegex(s string) (program, error) { return javaregex.Compile(s) }

func replacing(replace func(r *javaregex.Regexp, s, with string) (string, error)) *function {
	run := func(dst []byte, in *input) ([]byte, error) {
		re, err := in.program(1)
		if err != nil {
			return nil, err
		}
		s, err := replace(re.(*javaregex.Regexp), in.args[0], in.args[2])
		return append(dst, s...), err
	}
	return &function{min: 3, max: 3, run: run, programs: map[int]func(string) (program, error){1: compileRegex}}
}

func compileTime(s string) (program, error) { return javatime.Compile(s) }

// clock formats a count of units since 1970. What is no number gives nothing.
func clock(unit time.Duration, local bool) *function {
	run := func(dst []byte, in *input) ([]byte, error) {
		layout, err := in.program(0)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(in.args[1]), 10, 64)
		if err != nil {
			return dst, nil
		}
		at := time.Unix(n, 0)
		if unit == time.Millisecond {
			at = time.UnixMilli(n)
		}
		if !local {
			at = at.UTC()
		}
		return layout.(*javatime.Layout).Append(dst, at), nil
	}
	return &function{min: 2, max: 2, run: run, programs: map[int]func(string) (program, error){0: compileTime}}
}

func createUUID(dst []byte, _ *input) ([]byte, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	return append(dst, id.String()...), nil
}
