#!/bin/sh
# Makes the keys and files of the import tests, which OpenSSL 3 and keytool
# write as users do. The password is always "secret". Run here; the tests do
# not depend on the values.
set -eu
cnf=$(mktemp)
printf '[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE,pathlen:1\n[leaf]\nbasicConstraints=CA:FALSE\nsubjectAltName=DNS:api.example.com,DNS:*.example.com,IP:192.0.2.1,email:ops@example.com,URI:https://example.com/id\n' >"$cnf"
req() { openssl req -config "$cnf" "$@"; }
days=36500

openssl genrsa -traditional -out rsa.key 2048
openssl ecparam -name prime256v1 -genkey -out ec.key
openssl genpkey -algorithm ed25519 -out ed25519.key
openssl genpkey -algorithm x25519 -out x25519.key
openssl pkcs8 -topk8 -nocrypt -in rsa.key -out rsa-pkcs8.key

req -x509 -new -newkey rsa:2048 -nodes -keyout ca.tmp -subj '/C=US/O=Example, Inc./CN=Example Root' -extensions ca -days $days -out ca.pem
leaf() { # key out
	req -new -key "$1" -subj '/C=US/ST=California/L=Mountain View/O=Example, Inc./OU=APIs/CN=api.example.com' -out csr.tmp
	openssl x509 -req -in csr.tmp -CA ca.pem -CAkey ca.tmp -set_serial 0xF1E2D3C4B5 -extfile "$cnf" -extensions leaf -days $days -out "$2"
}
leaf rsa.key rsa.pem
leaf ec.key ec.pem
leaf ed25519.key ed25519.pem
cat rsa.pem ca.pem >rsa-chain.pem
openssl x509 -in rsa.pem -outform DER -out rsa.der

openssl rsa -in rsa.key -traditional -aes256 -passout pass:secret -out rsa-aes256.key
openssl rsa -in rsa.key -traditional -des3 -passout pass:secret -out rsa-des3.key
openssl ec -in ec.key -aes128 -passout pass:secret -out ec-aes128.key
p8() { openssl pkcs8 -topk8 -passout pass:secret "$@"; }
p8 -in rsa.key -out rsa-p8-aes256-sha256.key
p8 -in rsa.key -v2 aes-128-cbc -v2prf hmacWithSHA1 -out rsa-p8-aes128-sha1.key
p8 -in rsa.key -v2 aes-192-cbc -v2prf hmacWithSHA512 -out rsa-p8-aes192-sha512.key
p8 -in rsa.key -v2 des3 -out rsa-p8-des3.key
p8 -in ec.key -scrypt -out ec-p8-scrypt.key
p8 -in ed25519.key -iter 100000 -out ed25519-p8.key
p8 -in rsa.key -v1 PBE-MD5-DES -provider legacy -provider default -out rsa-p8-pbes1.key
p8 -in ec.key -iter 5000000 -out ec-p8-costly.key

export_p12() { out=$1; shift; openssl pkcs12 -export -passout pass:secret -out "$out" "$@"; }
export_p12 rsa.p12 -inkey rsa.key -in rsa-chain.pem -name leaf
export_p12 rsa-legacy.p12 -legacy -inkey rsa.key -in rsa-chain.pem
export_p12 ec.p12 -inkey ec.key -in ec.pem -certfile ca.pem
export_p12 nokey.p12 -nokeys -in rsa-chain.pem
openssl pkcs12 -export -inkey rsa.key -in rsa.pem -passout pass: -out rsa-nopassword.p12
rm -f keytool.p12
keytool -genkeypair -alias mykey -keyalg RSA -keysize 2048 -dname 'CN=keytool.example.com, O=Example' -validity $days -storetype PKCS12 -keystore keytool.p12 -storepass secret

rm -rf jar && mkdir -p jar/META-INF
cp rsa-chain.pem jar/myCert.pem
cp rsa-p8-aes256-sha256.key jar/myKey.pem
printf '# names\r\ncertFile = myCert.pem\r\nkeyFile: myKey.pem\r\n' >jar/META-INF/descriptor.properties
(cd jar && rm -f ../keystore.jar && zip -qr ../keystore.jar META-INF myCert.pem myKey.pem)
rm -rf jar ./*.tmp "$cnf"
