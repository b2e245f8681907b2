check "greet names the guest" 1 "$(greet Max | grep -c Max)"
check "greet is one line" 1 "$(greet Max | wc -l | tr -d ' ')"
check "greet greets" 1 "$(greet Max | grep -ci hello)"
