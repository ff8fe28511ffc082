package qr

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const uri = "otpauth://totp/FountainAI:usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=FountainAI&algorithm=SHA1&digits=6&period=30"

func TestPNG_showsTheMatrixWithItsBorder(t *testing.T) {
	code, err := Encode(uri)
	require.NoError(t, err)
	const pixels = 6 // of a module: 61 modules with the border
	picture, err := png.Decode(bytes.NewReader(drawn(t, code)))
	require.NoError(t, err)
	edge := (code.Size() + 2*quiet) * pixels
	require.Equal(t, edge, picture.Bounds().Dx())
	require.Equal(t, edge, picture.Bounds().Dy())
	for y := range edge {
		for x := range edge {
			red, _, _, _ := picture.At(x, y).RGBA()
			require.Equal(t, code.Black(x/pixels-quiet, y/pixels-quiet) && x >= quiet*pixels && y >= quiet*pixels, red == 0, "pixel %d,%d", x, y)
		}
	}
}

var run = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)

func TestSVG_showsTheMatrixWithItsBorder(t *testing.T) {
	code, err := Encode(uri)
	require.NoError(t, err)
	svg := string(code.SVG(366))
	edge := code.Size() + 2*quiet
	require.Contains(t, svg, `viewBox="0 0 `+strconv.Itoa(edge)+" "+strconv.Itoa(edge)+`"`)
	black := map[[2]int]bool{}
	for _, m := range run.FindAllStringSubmatch(svg, -1) {
		x, y, n := number(t, m[1]), number(t, m[2]), number(t, m[3])
		require.Equal(t, m[3], m[4])
		for i := range n {
			black[[2]int{x + i, y}] = true
		}
	}
	for y := range edge {
		for x := range edge {
			require.Equal(t, code.Black(x-quiet, y-quiet), black[[2]int{x, y}], "module %d,%d", x, y)
		}
	}
}

func TestSVG_isWellFormedAndInert(t *testing.T) {
	code, err := Encode(uri + "<script>&\"'")
	require.NoError(t, err)
	decoder := xml.NewDecoder(bytes.NewReader(code.SVG(366)))
	names := map[string]bool{}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok {
			names[start.Name.Local] = true
		}
	}
	require.Equal(t, map[string]bool{"svg": true, "path": true}, names, "no script, style or reference")
	require.NotContains(t, string(code.SVG(366)), "secret", "the text is in the modules only")
}

func TestEncode_refusesATextThatIsTooLong(t *testing.T) {
	_, err := Encode(strings.Repeat("x", 5000))
	require.Error(t, err)
}

// zbarimg reads pictures as a phone does; where it is installed it must read the text.
func TestPNG_isReadByZbarimg(t *testing.T) {
	path, err := exec.LookPath("zbarimg")
	if err != nil {
		require.NotContains(t, os.Getenv("FOUNTAIN_TEST_REQUIRE"), "zbarimg", "it is not installed")
		t.Log("zbarimg is not installed; the matrix is compared bit by bit above")
		return
	}
	code, err := Encode(uri)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "code.png")
	require.NoError(t, os.WriteFile(file, drawn(t, code), 0o600))
	out, err := exec.Command(path, "--quiet", "--raw", file).Output()
	require.NoError(t, err)
	require.Equal(t, uri, strings.TrimSpace(string(out)))
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func drawn(t *testing.T, c *Code) []byte {
	t.Helper()
	picture, err := c.PNG(366)
	require.NoError(t, err)
	return picture
}

// Every size that can be asked for gives a picture with at most that edge (or with one pixel for each module), and with all its modules.
func TestPNG_hasASizeOfItsOwnForEachThatIsAskedFor(t *testing.T) {
	code, err := Encode(uri)
	require.NoError(t, err)
	modules := code.Size() + 2*quiet
	for _, edge := range []int{1, 64, modules - 1, modules, 2*modules - 1, 2 * modules, 480, 2048} {
		raw, err := code.PNG(edge)
		require.NoError(t, err)
		picture, err := png.Decode(bytes.NewReader(raw))
		require.NoError(t, err)
		require.Equal(t, max(1, edge/modules)*modules, picture.Bounds().Dx(), "edge %d", edge)
	}
}
