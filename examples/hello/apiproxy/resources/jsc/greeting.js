var caller = context.getVariable('hello.caller') || 'world';
context.setVariable('hello.greeting', 'Hello, ' + decodeURIComponent(caller) + '!');
