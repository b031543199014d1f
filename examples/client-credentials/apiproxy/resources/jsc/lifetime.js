// The cache forgets the token half a minute before it expires, so that none is
// presented that expires on its way.
var expiresIn = parseInt(context.getVariable('token.expires_in'), 10);
context.setVariable('token.lifetime', String(Math.max(1, expiresIn - 30)));
