package bundle

import (
	"reflect"
	"strings"
	"testing"
)

type mode string

type everything struct {
	Common
	Text      string            `xml:"Text"`
	Raw       string            `xml:"Raw,raw"`
	Mode      mode              `xml:"Mode" default:"fast" enum:"fast,slow"`
	On        bool              `xml:"On"`
	Off       bool              `xml:"Off" default:"true"`
	Count     int               `xml:"Count" default:"7"`
	Big       int64             `xml:"Big"`
	Rate      float64           `xml:"Rate"`
	MaybeText *string           `xml:"MaybeText"`
	MaybeBool *bool             `xml:"MaybeBool"`
	MaybeInt  *int              `xml:"MaybeInt"`
	List      []string          `xml:"List"`
	Deep      []string          `xml:"Outer>Inner>Leaf"`
	Numbers   []int             `xml:"Numbers>Number"`
	One       everythingItem    `xml:"One"`
	Ptr       *everythingItem   `xml:"Ptr"`
	Many      []everythingItem  `xml:"Many"`
	ManyPtr   []*everythingItem `xml:"ManyPtr>Item"`
	Capture   *Element          `xml:"Capture"`
	Captures  []*Element        `xml:"Captures>Any"`
	Kind      string            `xml:"kind,attr"`
	Size      int               `xml:"size,attr" default:"3"`
	Flag      *bool             `xml:"flag,attr"`
	TextPos   Pos               `pos:"Text"`
	LeafPos   Pos               `pos:"Outer>Inner"`
	Header    RefValue          `xml:"Header" default:"X-Default"`
	_         struct{}          `ignored:"Legacy,@old"`
}

type everythingItem struct {
	Pos
	Ref   string `xml:"ref,attr"`
	Value string `xml:",chardata"`
	Sub   int    `xml:"Sub" default:"5"`
}

func decodeString(t *testing.T, doc string, into any) string {
	t.Helper()
	var ps Problems
	Decode(mustParse(t, doc), into, &ps)
	ps.Sort()
	return strings.ReplaceAll(ps.String(), "policies/P.xml:", "")
}

func TestDecode(t *testing.T) {
	const doc = `<Everything name="E-1" enabled="FALSE" continueOnError="1" kind=" k " flag="0" old="" xmlns="urn:x" xmlns:y="urn:y" xsi:z="">
<DisplayName>Every</DisplayName><Description/>
<Properties><Property name="p">v</Property></Properties>
<FaultRules/>
<Text>
 a b
</Text>
<Raw> r </Raw>
<Mode>slow</Mode><On>TRUE</On><Off>0</Off><Count> -4 </Count><Big>5000000000</Big><Rate>1.5</Rate>
<MaybeText/><MaybeBool>true</MaybeBool><MaybeInt>0</MaybeInt>
<List>x</List><List/>
<Outer><Inner><Leaf>1</Leaf><Leaf>2</Leaf></Inner></Outer>
<Numbers><Number>1</Number></Numbers>
<One ref="v">text<Sub>6</Sub></One>
<Ptr/>
<Many ref="a"/><Many ref="b">B</Many>
<ManyPtr><Item/></ManyPtr>
<Capture whatever="1"><At all="2"/></Capture>
<Captures><Any/><Any/></Captures>
<Header ref="flow.header"/>
<Legacy x="1"><a/></Legacy>
</Everything>`
	var got everything
	if problems := decodeString(t, doc, &got); problems != "" {
		t.Error(problems)
	}
	if got.Capture == nil || got.Capture.Child("At") == nil || len(got.Captures) != 2 || got.FaultRules == nil {
		t.Errorf("captured %v %v %v", got.Capture, got.Captures, got.FaultRules)
	}
	got.Capture, got.Captures, got.FaultRules = nil, nil, nil
	at := func(line int) Pos { return Pos{"policies/P.xml", line} }
	text, no, yes, zero := "", false, true, 0
	want := everything{
		Common: Common{Pos: at(1), Name: "E-1", ContinueOnError: true, DisplayName: "Every",
			Properties: Properties{{at(3), "p", "v"}}},
		Text: "a b", Raw: " r ", Mode: "slow", On: true, Count: -4, Big: 5e9, Rate: 1.5,
		MaybeText: &text, MaybeBool: &yes, MaybeInt: &zero,
		List: []string{"x", ""}, Deep: []string{"1", "2"}, Numbers: []int{1},
		One: everythingItem{at(14), "v", "text", 6}, Ptr: &everythingItem{at(15), "", "", 5},
		Many:    []everythingItem{{at(16), "a", "", 5}, {at(16), "b", "B", 5}},
		ManyPtr: []*everythingItem{{at(17), "", "", 5}},
		Kind:    "k", Size: 3, Flag: &no, TextPos: at(5), LeafPos: at(12),
		Header: RefValue{Pos: at(20), Value: "X-Default", Ref: "flow.header"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Absent elements leave defaults, and what the caller had put there.
func TestDecodeDefaults(t *testing.T) {
	got := everything{Count: 9, Text: "mine"}
	if problems := decodeString(t, `<Everything name="E"/>`, &got); problems != "" {
		t.Error(problems)
	}
	want := everything{
		Common: Common{Pos: Pos{"policies/P.xml", 1}, Name: "E", Enabled: true},
		Text:   "mine", Count: 9, Mode: "fast", Off: true, Size: 3,
		One: everythingItem{Sub: 5}, Header: RefValue{Value: "X-Default"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeProblems(t *testing.T) {
	type value struct {
		Variable string  `xml:"Variable,required"`
		Value    string  `xml:"Value,once"`
		Names    string  `xml:"Names"`
		Type     string  `xml:"type,attr,required"`
		ID       string  `xml:"Id"`
		Sub      *string `xml:"Group>Sub,required"`
	}
	type config struct {
		Common
		Set   value   `xml:"Set"`
		Time  int     `xml:"Timeout" default:"4"`
		On    bool    `xml:"On"`
		Rate  float32 `xml:"Rate"`
		Mode  string  `xml:"Mode" enum:"a,b"`
		Bools []bool  `xml:"Bool"`
		PInt  *int    `xml:"PInt"`
	}
	for _, c := range []struct{ body, want string }{
		{"", ""},
		{"<Set type='x'><Variable>a</Variable><Group><Sub/></Group></Set>", ""},
		{"<Set/>", "1: <Set> has no <Sub>\n1: <Set> has no <Variable>\n1: <Set> has no attribute type"},
		{"<Mode>B</Mode>", `1: warning: <Mode> is "B", taken for b: upper and lower case matter in Apigee X`},
		{"\n<Moed/>", "2: warning: <Moed> is not an element of <P>, did you mean <Mode>?"},
		{"<Timeuot>1</Timeuot>", "1: warning: <Timeuot> is not an element of <P>, did you mean <Timeout>?"},
		{"<Timout>1</Timout>", "1: warning: <Timout> is not an element of <P>, did you mean <Timeout>?"},
		{"<DisplayNam/>", "1: warning: <DisplayNam> is not an element of <P>, did you mean <DisplayName>?"},
		{"<timeout>1</timeout>", "1: warning: <timeout> is not an element of <P>; upper and lower case matter in <Timeout>"},
		{"<Timeouts/>", "1: warning: <Timeouts> is not an element of <P>"},
		{"<Ont/>", "1: warning: <Ont> is not an element of <P>"},
		{"<Other/>", "1: warning: <Other> is not an element of <P>"},
		{"text", "1: warning: text in <P> has no effect"},
		{"<Timeout>x</Timeout>", `1: <Timeout> is "x", want a whole number`},
		{"<Timeout>99999999999999999999</Timeout>", `1: <Timeout> is "99999999999999999999", want a whole number`},
		{"<Timeout/>", "1: warning: <Timeout> is empty"},
		{"<Timeout>5</Timeout>\n<Timeout>6</Timeout>", "2: warning: second <Timeout> in <P>, the last one counts"},
		{"<On>yes</On>", `1: <On> is "yes", want true or false`},
		{"<Rate>fast</Rate>", `1: <Rate> is "fast", want a number`},
		{"<Mode>c</Mode>", `1: <Mode> is "c", want a or b`},
		{"<Bool>1</Bool><Bool>2</Bool>", `1: <Bool> is "2", want true or false`},
		{"<PInt/>", "1: warning: <PInt> is empty"},
		{"<Mode ref='x'>a</Mode>", "1: warning: ref is not an attribute of <Mode>"},
		{"<Mode>a<b/></Mode>", "1: warning: <b> is not an element of <Mode>"},
		{"<Set tpye='x' type='y'><Variable/><Group a='b'>x<Sub/></Group></Set>",
			"1: warning: a is not an attribute of <Group>\n1: warning: text in <Group> has no effect\n1: warning: tpye is not an attribute of <Set>, did you mean type?"},
		{"<Set type='y'><Variable/><Vaule>1</Vaule>\n<Value/><Value>2</Value>\n<Name/><Group/><Group><Sub/></Group></Set>",
			"1: warning: <Vaule> is not an element of <Set>, did you mean <Value>?\n2: second <Value> in <Set>\n3: warning: <Name> is not an element of <Set>\n3: warning: second <Group> in <Set>, both count"},
	} {
		var got config
		problems := decodeString(t, "<P name='P'>"+c.body+"</P>", &got)
		if problems != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.body, problems, c.want)
		}
	}
}

func TestDecodeAny(t *testing.T) {
	var got struct {
		Common
		Known string     `xml:"Known"`
		Rest  []*Element `xml:",any"`
	}
	problems := decodeString(t, "<P name='p'><Set/><Known>k</Known>text<Add/><DisplayName>d</DisplayName><Set/></P>", &got)
	var names []string
	for _, el := range got.Rest {
		names = append(names, el.Name)
	}
	if problems != "" || got.Known != "k" || strings.Join(names, " ") != "Set Add Set" {
		t.Errorf("%s %+v", problems, got)
	}
}

// A repeated struct starts anew: nothing of the first is left.
func TestDecodeLastWins(t *testing.T) {
	var got struct {
		One *everythingItem `xml:"One"`
		Two everythingItem  `xml:"Two"`
		N   int             `xml:"N" default:"4"`
	}
	decodeString(t, "<P><One ref='a'/><One>b</One><Two ref='a'><Sub>1</Sub></Two><Two>b</Two><N>9</N><N/></P>", &got)
	if got.One.Ref != "" || got.One.Value != "b" || got.Two.Ref != "" || got.Two.Sub != 5 || got.N != 4 {
		t.Errorf("%+v %+v %d", got.One, got.Two, got.N)
	}
}

func TestDecodePanics(t *testing.T) {
	for name, into := range map[string]any{
		"no pointer": struct{}{},
		"map": new(struct {
			M map[string]string `xml:"M"`
		}),
		"bad default": new(struct {
			N int `xml:"N" default:"x"`
		}),
		"bad option": new(struct {
			N int `xml:"N,omitempty"`
		}),
		"attr of slice": new(struct {
			N []int `xml:"n,attr"`
		}),
		"attr of struct": new(struct {
			N Common `xml:"n,attr"`
		}),
		"element value": new(struct {
			N Element `xml:"N"`
		}),
		"any of strings": new(struct {
			N []string `xml:",any"`
		}),
		"value and group": new(struct {
			A string `xml:"A"`
			B string `xml:"A>B"`
		}),
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			Decode(&Element{Name: "P"}, into, new(Problems))
		})
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"Value", "Value", 0}, {"Vaule", "Value", 1}, {"Vale", "Value", 1}, {"Valuee", "Value", 1},
		{"Valve", "Value", 1}, {"Vlave", "Value", 2}, {"abc", "Value", 3}, {"", "ab", 2},
	} {
		if got := distance(c.a, c.b, 2); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// FuzzDecode: whatever the document, decoding does not panic, keeps to the file
// and, with no error among the problems, gives the same again when printed.
func FuzzDecode(f *testing.F) {
	f.Add(`<TargetEndpoint name="t"><HTTPTargetConnection><URL>http://x</URL></HTTPTargetConnection></TargetEndpoint>`)
	f.Add(`<ProxyEndpoint name="p"><PreFlow><Request><Step><Name>a</Name></Step></Request></PreFlow></ProxyEndpoint>`)
	f.Add(`<E name="x"><Text>a</Text><One ref="r">v<Sub>1</Sub></One><Many/><Many/><Capture/></E>`)
	f.Fuzz(func(t *testing.T, doc string) {
		el, err := ParseXML("f", []byte(doc))
		if err != nil {
			return
		}
		ParseProxyEndpoint(el, new(Problems))
		ParseTargetEndpoint(el, new(Problems))
		ParseSharedFlow(el, new(Problems))
		var first, second everything
		var ps, ps2 Problems
		Decode(el, &first, &ps)
		Decode(mustParse(t, printed(el)), &second, &ps2)
		for _, p := range ps {
			if p.File != "f" || p.Line < 1 {
				t.Errorf("problem without place: %v", p)
			}
		}
		if len(ps) != len(ps2) {
			t.Errorf("%d problems, printed %d", len(ps), len(ps2))
		}
		if a, b := flat(first), flat(second); a != b {
			t.Errorf("%s\n%s\n%s", doc, a, b)
		}
	})
}

// flat is the decoded text without positions.
func flat(e everything) string {
	var d dumper
	e.Pos, e.TextPos, e.LeafPos = Pos{}, Pos{}, Pos{}
	e.Capture, e.Captures, e.FaultRules = nil, nil, nil
	d.value("E", reflect.ValueOf(e), 0)
	var lines []string
	for line := range strings.SplitSeq(d.String(), "\n") {
		if !strings.Contains(line, "Pos: at ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
