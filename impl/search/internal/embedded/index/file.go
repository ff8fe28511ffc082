package index

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// The file of a segment consists of the magic, the length of the head, the head (JSON), and the slices of the segment as they are in
// memory, each aligned to 8 bytes. Then follow the checksums (CRC-32C) of all pages, and the tail. When a file is opened, all pages are
// read and verified. Then it is mapped.
const (
	segmentMagic = "FSEGv1\n\x00"
	pageSize     = 64 << 10
	tailSize     = 16 // length of the pages' content, checksum of the checksums, byte order
	byteOrder    = 0x01020304
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is a mapped file. It is unmapped when nothing refers to it any more.
type file struct{ name, path string }

// head describes the slices in a segment's file.
type head struct {
	Documents int                       `json:"documents"`
	Fields    map[string]schema.Columns `json:"fields"`
	// Lengths are the numbers of elements of the slices, in the order of visit.
	Lengths []int `json:"lengths"`
}

// lengths collects the lengths of a segment's slices.
type lengths []int

func (l *lengths) bytes(p *[]byte)   { *l = append(*l, len(*p)) }
func (l *lengths) u32s(p *[]uint32)  { *l = append(*l, len(*p)) }
func (l *lengths) f32s(p *[]float32) { *l = append(*l, len(*p)) }
func (l *lengths) u64s(p *[]uint64)  { *l = append(*l, len(*p)) }
func (l *lengths) i64s(p *[]int64)   { *l = append(*l, len(*p)) }
func (l *lengths) f64s(p *[]float64) { *l = append(*l, len(*p)) }

// pageWriter writes pages and computes their checksums.
type pageWriter struct {
	out  *bufio.Writer
	n    int64
	page uint32 // checksum of the current page
	sums []byte
	err  error
}

// Write implements io.Writer.
func (w *pageWriter) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 && w.err == nil {
		room := pageSize - int(w.n%pageSize)
		part := b[:min(room, len(b))]
		_, w.err = w.out.Write(part)
		w.page = crc32.Update(w.page, castagnoli, part)
		w.n += int64(len(part))
		b = b[len(part):]
		if w.n%pageSize == 0 {
			w.seal()
		}
	}
	return total, w.err
}

func (w *pageWriter) seal() {
	w.sums = binary.LittleEndian.AppendUint32(w.sums, w.page)
	w.page = 0
}

func (w *pageWriter) align() {
	var zero [8]byte
	if rest := int(w.n % 8); rest > 0 {
		_, _ = w.Write(zero[rest:])
	}
}

func writeSlice[T any](w *pageWriter, s []T) {
	w.align()
	if len(s) > 0 {
		_, _ = w.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0]))))
	}
}

func (w *pageWriter) bytes(p *[]byte)   { writeSlice(w, *p) }
func (w *pageWriter) u32s(p *[]uint32)  { writeSlice(w, *p) }
func (w *pageWriter) f32s(p *[]float32) { writeSlice(w, *p) }
func (w *pageWriter) u64s(p *[]uint64)  { writeSlice(w, *p) }
func (w *pageWriter) i64s(p *[]int64)   { writeSlice(w, *p) }
func (w *pageWriter) f64s(p *[]float64) { writeSlice(w, *p) }

// writeSegment writes a segment to a file and syncs it to disk.
func writeSegment(path string, s *segment) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path) // a partial segment is of no use
		}
	}()
	h := head{Documents: s.n, Fields: make(map[string]schema.Columns)}
	for name, f := range s.fields {
		h.Fields[name] = f.parts
	}
	s.visit((*lengths)(&h.Lengths))
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	w := &pageWriter{out: bufio.NewWriterSize(f, 1<<20)}
	_, _ = w.Write([]byte(segmentMagic))
	_, _ = w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	_, _ = w.Write(text)
	s.visit(w)
	pages := w.n
	if w.seal(); w.err != nil {
		return w.err
	}
	tail := binary.LittleEndian.AppendUint64(w.sums, uint64(pages))
	tail = binary.LittleEndian.AppendUint32(tail, crc32.Checksum(w.sums, castagnoli))
	order := uint32(byteOrder)
	tail = append(tail, (*[4]byte)(unsafe.Pointer(&order))[:]...)
	if _, err := w.out.Write(tail); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func damaged(path, what string) error {
	return fmt.Errorf("%w: %s: %s", ErrDamaged, filepath.Base(path), what)
}

// openSegment verifies a segment's file and maps it.
func openSegment(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pages, err := check(f, path)
	if err != nil {
		return nil, err
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(pages), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map segment: %w", err)
	}
	mapped := &file{name: filepath.Base(path), path: path}
	runtime.AddCleanup(mapped, func(data []byte) { _ = syscall.Munmap(data) }, data)
	var s *segment
	err = caught(func() (err error) {
		s, err = readSegment(path, data)
		return err
	})
	if err != nil {
		runtime.KeepAlive(mapped)
		return nil, err
	}
	s.file, s.size = mapped, pages
	return s, nil
}

// checkFile verifies the checksums of a file's pages.
func checkFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = check(f, path)
	return err
}

// check verifies the checksums of all pages and returns the length of their content.
func check(f *os.File, path string) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	tail := make([]byte, tailSize)
	if _, err := f.ReadAt(tail, max(0, info.Size()-tailSize)); err != nil {
		return 0, damaged(path, "it is cut off")
	}
	pages := int64(binary.LittleEndian.Uint64(tail))
	count := pages/pageSize + 1
	if pages < int64(len(segmentMagic))+8 || info.Size() != pages+4*count+tailSize {
		return 0, damaged(path, "it has another length")
	}
	if *(*uint32)(unsafe.Pointer(&tail[12])) != byteOrder {
		return 0, damaged(path, "it was written by another kind of machine")
	}
	sums := make([]byte, 4*count)
	if _, err := f.ReadAt(sums, pages); err != nil || crc32.Checksum(sums, castagnoli) != binary.LittleEndian.Uint32(tail[8:]) {
		return 0, damaged(path, "its checksums are broken")
	}
	page := make([]byte, pageSize)
	for i := range count {
		n := min(pageSize, pages-i*pageSize)
		if _, err := f.ReadAt(page[:n], i*pageSize); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if crc32.Checksum(page[:n], castagnoli) != binary.LittleEndian.Uint32(sums[4*i:]) {
			return 0, damaged(path, fmt.Sprintf("page %d has another checksum", i))
		}
	}
	return pages, nil
}

// pageReader reads slices from mapped pages.
type pageReader struct {
	data    []byte
	at      int
	lengths []int
	broken  bool
}

func readSlice[T any](r *pageReader, into *[]T) {
	var one T
	r.at = (r.at + 7) &^ 7
	if len(r.lengths) == 0 {
		r.broken = true
		return
	}
	n := r.lengths[0]
	r.lengths = r.lengths[1:]
	width := int(unsafe.Sizeof(one))
	if n < 0 || n > (len(r.data)-r.at)/width {
		r.broken = true
		return
	}
	if n > 0 {
		*into = unsafe.Slice((*T)(unsafe.Pointer(&r.data[r.at])), n)
	}
	r.at += n * width
}

func (r *pageReader) bytes(p *[]byte)   { readSlice(r, p) }
func (r *pageReader) u32s(p *[]uint32)  { readSlice(r, p) }
func (r *pageReader) f32s(p *[]float32) { readSlice(r, p) }
func (r *pageReader) u64s(p *[]uint64)  { readSlice(r, p) }
func (r *pageReader) i64s(p *[]int64)   { readSlice(r, p) }
func (r *pageReader) f64s(p *[]float64) { readSlice(r, p) }

func readSegment(path string, data []byte) (*segment, error) {
	begin := len(segmentMagic) + 8
	if string(data[:len(segmentMagic)]) != segmentMagic {
		return nil, damaged(path, "it is not a segment")
	}
	size := binary.LittleEndian.Uint64(data[len(segmentMagic):])
	if size > uint64(len(data)-begin) {
		return nil, damaged(path, "its head is broken")
	}
	var h head
	if err := json.Unmarshal(data[begin:begin+int(size)], &h); err != nil {
		return nil, damaged(path, "its head is broken")
	}
	s := &segment{n: h.Documents, fields: make(map[string]*field)}
	for name, parts := range h.Fields {
		s.fields[name] = newField(parts)
	}
	r := &pageReader{data: data, at: begin + int(size), lengths: h.Lengths}
	if s.visit(r); r.broken || len(s.seqs) != s.n || s.ids.len() != s.n {
		return nil, damaged(path, "its parts do not fit")
	}
	return s, nil
}
