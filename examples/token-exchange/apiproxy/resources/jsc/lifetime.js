// An exchanged token lives 15 minutes, and never longer than what it was exchanged
// for: subject and, if there is one, actor.
var seconds = Math.min(900, Number(context.getVariable("jwt.VJ-Subject.seconds_remaining")));
var actor = context.getVariable("jwt.VJ-Actor.seconds_remaining");
if (actor) {
  seconds = Math.min(seconds, Number(actor));
}
context.setVariable("exchange.life", String(Math.max(1, Math.floor(seconds)) * 1000));
