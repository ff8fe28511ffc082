package screenplay

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const fdx = `<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<FinalDraft DocumentType="Script" Template="No" Version="5">
  <Content>
    <Paragraph Number="1A" Type="Scene Heading"><SceneProperties Length="1/8" Title=""><Summary><Paragraph><Text>They meet.</Text></Paragraph></Summary></SceneProperties>
      <Text>INT. LAMP ROOM - NIGHT</Text></Paragraph>
    <Paragraph Type="Action"><Text>A </Text><Text Style="Bold+Underline">very </Text><Text>old * lamp.</Text>
      <ScriptNote ID="1"><Paragraph><Text>How old?</Text></Paragraph></ScriptNote></Paragraph>
    <Paragraph Type="Shot"><Text>ANGLE ON THE LAMP</Text></Paragraph>
    <Paragraph Type="Character"><Text>ILSE (O.S.)</Text></Paragraph>
    <Paragraph Type="Parenthetical"><Text>(low)</Text></Paragraph>
    <Paragraph Type="Dialogue"><Text>Light it.</Text></Paragraph>
    <Paragraph Type="Parenthetical"><Text>(sighs)</Text></Paragraph>
    <Paragraph><DualDialogue>
      <Paragraph Type="Character"><Text>BRAM</Text></Paragraph>
      <Paragraph Type="Dialogue"><Text>No!</Text></Paragraph>
      <Paragraph Type="Character"><Text>Ilse</Text></Paragraph>
      <Paragraph Type="Dialogue"><Text>Yes!</Text></Paragraph>
    </DualDialogue></Paragraph>
    <Paragraph Type="Transition"><Text>FADE OUT.</Text></Paragraph>
    <Paragraph Type="Scene Heading" StartsNewPage="Yes"><Text>THE SEA</Text></Paragraph>
    <Paragraph Alignment="Center" Type="General"><Text>THE END</Text></Paragraph>
    <Paragraph Type="Cast List"><Text Style="Strikeout">Nobody</Text></Paragraph>
  </Content>
  <TitlePage><Content>
    <Paragraph Alignment="Center"><Text></Text></Paragraph>
    <Paragraph Alignment="Center"><Text Style="Underline">The Light</Text></Paragraph>
    <Paragraph Alignment="Center"><Text>Written by</Text></Paragraph>
    <Paragraph Alignment="Center"><Text>A. Nobody</Text></Paragraph>
    <Paragraph><Text>The pier</Text></Paragraph>
  </Content></TitlePage>
</FinalDraft>`

const fdxAsFountain = `Title: The Light
Credit: Written by
Author: A. Nobody
Contact: The pier

INT. LAMP ROOM - NIGHT #1A#

= They meet.

A _**very**_ old \* lamp.

[[How old?]]

ANGLE ON THE LAMP

ILSE (O.S.)
(low)
Light it.
(sighs)

BRAM
No!

@Ilse ^
Yes!

> FADE OUT.

===

.THE SEA

> THE END <

Nobody
`

func TestFromFDX_keepsThePlayAndNamesWhatItCannot(t *testing.T) {
	require.True(t, IsFDX([]byte(fdx)))
	require.False(t, IsFDX([]byte(fdxAsFountain)))
	text, notices, err := FromFDX(strings.NewReader(fdx))
	require.NoError(t, err)
	require.Equal(t, fdxAsFountain, text)
	require.Equal(t, []string{`1 time a paragraph of the type "Cast List" became action`, `1 time the style "Strikeout" was left out`}, notices)
	again, _ := Export(Outline(mustParse(t, text)))
	require.Equal(t, text, again)
	_, _, err = FromFDX(strings.NewReader(fdx[:1000]))
	require.ErrorContains(t, err, "Final Draft")
}

func FuzzFromFDX(f *testing.F) {
	f.Add(fdx)
	f.Fuzz(func(t *testing.T, src string) {
		text, _, err := FromFDX(strings.NewReader(src))
		if err != nil {
			return
		}
		if script, err := Parse(strings.NewReader(text)); err == nil {
			Outline(script)
		}
	})
}
