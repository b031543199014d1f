package management

import "testing"

func TestSubscriptions(t *testing.T) {
	a := published(t)
	a.do("POST", "appgroups", `{"name":"partners"}`).want(200)
	for _, who := range []struct{ path, list string }{{"developers/dev@acme.com", "developerSubscriptions"}, {"appgroups/partners", "appGroupSubscriptions"}} {
		subs := who.path + "/subscriptions"
		a.do("GET", subs, nil).want(200).lacks("name")
		a.do("POST", subs, `{}`).want(400, "apiproduct")
		a.do("POST", subs, `{"apiproduct":"none"}`).want(404)
		a.do("POST", subs, `{"apiproduct":"gold","startTime":"5","endTime":"5"}`).want(400, "endTime")
		name := a.do("POST", subs, `{"apiproduct":"gold","endTime":"1999999999000"}`).want(200, `"apiproduct":"gold"`, `"startTime":"1767323045000"`).text("name")
		a.do("POST", subs, `{"apiproduct":"silver"}`).want(200)
		a.do("GET", subs+"/"+name, nil).want(200, `"endTime":"1999999999000"`)
		a.do("GET", subs, nil).want(200, `"`+who.list+`":[`, `"name":"`+name+`"`, `"apiproduct":"silver"`)
		a.do("POST", subs+"/"+name+":expire", `{}`).want(200, `"endTime":"1767323045000"`)
		a.do("GET", subs+"/none", nil).want(404)
		a.do("POST", subs+"/none:expire", `{}`).want(404)
	}
	r := a.do("GET", "developers/dev@acme.com/subscriptions?count=1", nil).want(200, `"nextStartKey":"`)
	a.do("GET", "developers/dev@acme.com/subscriptions?count=1&startKey="+r.text("nextStartKey"), nil).want(200, r.text("nextStartKey")).lacks("nextStartKey")
	a.do("GET", "developers/nobody@acme.com/subscriptions", nil).want(404)

	// A group made anew has none.
	a.do("DELETE", "appgroups/partners", nil).want(200)
	a.do("GET", "appgroups/partners/subscriptions", nil).want(404)
	a.do("POST", "appgroups", `{"name":"partners"}`).want(200)
	a.do("GET", "appgroups/partners/subscriptions", nil).want(200).lacks("name")
}

func TestBalances(t *testing.T) {
	a := published(t)
	a.do("POST", "appgroups", `{"name":"partners"}`).want(200)
	for _, who := range []string{"developers/dev@acme.com", "appgroups/partners"} {
		b := who + "/balance"
		a.do("GET", b, nil).want(200).is("{}")
		credit := `{"transactionId":"t1","transactionAmount":{"currencyCode":"USD","units":"10","nanos":600000000}}`
		a.do("POST", b+":credit", credit).want(200, `"units":"10"`, `"nanos":600000000`, `"lastCreditTime":"1767323045000"`)
		a.do("POST", b+":credit", credit).want(200, `"units":"10"`) // sent twice, counted once
		a.do("POST", b+":credit", `{"transactionId":"t2","transactionAmount":{"currencyCode":"USD","nanos":500000000}}`).want(200, `"units":"11"`, `"nanos":100000000`)
		a.do("POST", b+":credit", `{"transactionId":"t3","transactionAmount":{"currencyCode":"EUR","units":"1"}}`).want(200, `"EUR"`, `"USD"`)
		a.do("POST", b+":adjust", `{"adjustment":{"currencyCode":"USD","units":"-11","nanos":-600000000}}`).want(200, `"nanos":-500000000`).lacks(`"units":"11"`)
		a.do("GET", b, nil).want(200, `"nanos":-500000000`)
		for _, bad := range []string{
			`{}`, `{"transactionId":"x"}`, `{"transactionAmount":{"currencyCode":"USD","units":"1"}}`, `{"transactionId":"x","transactionAmount":{"units":"1"}}`,
			`{"transactionId":"x","transactionAmount":{"currencyCode":"USD","units":"1","nanos":-1}}`, `{"transactionId":"x","transactionAmount":{"currencyCode":"USD","units":"-1"}}`,
			`{"transactionId":"x","transactionAmount":{"currencyCode":"USD","nanos":1000000000}}`, `{"transactionId":"x","transactionAmount":{"currencyCode":"USD","units":"9000000000000"}}`,
		} {
			a.do("POST", b+":credit", bad).want(400, `"INVALID_ARGUMENT"`)
		}
		a.do("GET", who+"/monetizationConfig", nil).want(200).is(`{"billingType":"POSTPAID"}`)
		a.do("PUT", who+"/monetizationConfig", `{"billingType":"PREPAID"}`).want(200)
		a.do("GET", who+"/monetizationConfig", nil).want(200).is(`{"billingType":"PREPAID"}`)
		a.do("PUT", who+"/monetizationConfig", `{"billingType":"FREE"}`).want(400)
	}
}

// Amounts of both signs add up with units and nanos of one sign.
func TestAddMoney(t *testing.T) {
	for _, tt := range []struct{ u1, n1, u2, n2, u, n int64 }{
		{1, 600_000_000, 1, 600_000_000, 3, 200_000_000}, {1, 0, 0, -1, 0, 999_999_999}, {-1, 0, 0, 1, 0, -999_999_999},
		{2, 500_000_000, -2, -600_000_000, 0, -100_000_000}, {-1, -900_000_000, -1, -200_000_000, -3, -100_000_000}, {5, 0, -5, 0, 0, 0},
	} {
		b := new(balance)
		add(b, &money{CurrencyCode: "USD", Units: tt.u1, Nanos: tt.n1})
		if w := add(b, &money{CurrencyCode: "USD", Units: tt.u2, Nanos: tt.n2}); w.Balance.Units != tt.u || w.Balance.Nanos != tt.n || len(b.Wallets) != 1 {
			t.Errorf("%d.%d + %d.%d is %d.%d", tt.u1, tt.n1, tt.u2, tt.n2, w.Balance.Units, w.Balance.Nanos)
		}
	}
}
