package laravel

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spoolq/spool"
)

// KeyError says that an encrypted job can't be read or written with the keys
// at hand. The job is in order: a worker with the right key can run it.
type KeyError struct {
	Class   string // of the job
	Setting string // what to look at: "APP_KEY", "app.cipher"
	Reason  string
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("job %s is encrypted: check %s: %s", e.Class, e.Setting, e.Reason)
}

// Unwrap says that another worker, with another key, may read the job.
func (e *KeyError) Unwrap() error { return spool.ErrNotHere }

// crypt encrypts as Laravel's Encrypter does.
type crypt struct {
	keys [][]byte // the first encrypts
	gcm  bool
}

// newCrypt returns nil without a key.
func newCrypt(key string, previous []string, name string) (*crypt, error) {
	size, gcm := 32, false
	switch strings.ToLower(name) {
	case "", "aes-256-cbc":
	case "aes-128-cbc":
		size = 16
	case "aes-256-gcm":
		gcm = true
	case "aes-128-gcm":
		size, gcm = 16, true
	default:
		return nil, fmt.Errorf("cipher %q is unknown: there are AES-128-CBC, AES-256-CBC, AES-128-GCM and AES-256-GCM", name)
	}
	if key == "" {
		return nil, nil
	}
	c := &crypt{gcm: gcm}
	for i, text := range append([]string{key}, previous...) {
		setting := "APP_KEY"
		if i > 0 {
			setting = "APP_PREVIOUS_KEYS"
		}
		if i > 0 && text == "" {
			continue
		}
		k := []byte(text)
		if b64, ok := strings.CutPrefix(text, "base64:"); ok {
			var err error
			if k, err = base64.StdEncoding.DecodeString(b64); err != nil {
				return nil, fmt.Errorf("%s begins with base64:, but what follows is not base64; take the key as php artisan key:generate --show prints it", setting)
			}
		}
		if len(k) != size {
			return nil, fmt.Errorf("%s has %d bytes, the cipher needs %d (a key from artisan key:generate begins with base64:)", setting, len(k), size)
		}
		c.keys = append(c.keys, k)
	}
	return c, nil
}

// sealed is an encrypted text: base64, but for the hexadecimal mac.
type sealed struct {
	IV    string `json:"iv"`
	Value string `json:"value"`
	MAC   string `json:"mac"`
	Tag   string `json:"tag"`
}

// openSealed reads the outer layer: base64 of JSON.
func openSealed(text string) (*sealed, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	var s sealed
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.IV == "" || s.Value == "" {
		return nil, errors.New("iv or value is missing")
	}
	return &s, nil
}

func (s *sealed) mac(key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s.IV))
	h.Write([]byte(s.Value))
	return h.Sum(nil)
}

// decrypt tries all keys. Nothing is decrypted that isn't authenticated.
func (c *crypt) decrypt(s *sealed) (string, error) {
	iv, err1 := base64.StdEncoding.DecodeString(s.IV)
	value, err2 := base64.StdEncoding.DecodeString(s.Value)
	tag, err3 := base64.StdEncoding.DecodeString(s.Tag)
	if err := errors.Join(err1, err2, err3); err != nil {
		return "", fmt.Errorf("encrypted text is damaged: %w", err)
	}
	if c.gcm != (s.Tag != "") {
		return "", &KeyError{Setting: "app.cipher", Reason: "the job was encrypted in another mode (CBC and GCM are not compatible)"}
	}
	for _, key := range c.keys {
		if c.gcm {
			if plain, ok := openGCM(key, iv, value, tag); ok {
				return string(plain), nil
			}
			continue
		}
		mac, err := hex.DecodeString(s.MAC)
		if err != nil || !hmac.Equal(mac, s.mac(key)) {
			continue
		}
		return openCBC(key, iv, value)
	}
	return "", &KeyError{Setting: "APP_KEY", Reason: fmt.Sprintf("none of the %d keys (APP_PREVIOUS_KEYS included) is the one the job was encrypted with", len(c.keys))}
}

func openGCM(key, iv, value, tag []byte) ([]byte, bool) {
	g := newGCM(key)
	if len(iv) != g.NonceSize() || len(tag) != g.Overhead() {
		return nil, false
	}
	plain, err := g.Open(nil, iv, append(value[:len(value):len(value)], tag...), nil)
	return plain, err == nil
}

func openCBC(key, iv, value []byte) (string, error) {
	if len(iv) != aes.BlockSize || len(value) == 0 || len(value)%aes.BlockSize != 0 {
		return "", errors.New("encrypted text is damaged: its length is no multiple of the block size")
	}
	plain := make([]byte, len(value))
	cipher.NewCBCDecrypter(newAES(key), iv).CryptBlocks(plain, value)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return "", errors.New("encrypted text is damaged: no padding")
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return "", errors.New("encrypted text is damaged: no padding")
		}
	}
	return string(plain[:len(plain)-pad]), nil
}

// newAES takes a key whose length newCrypt has checked.
func newAES(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return b
}

func newGCM(key []byte) cipher.AEAD {
	g, err := cipher.NewGCM(newAES(key))
	if err != nil {
		panic(err)
	}
	return g
}

func (c *crypt) encrypt(plain string) (string, error) {
	var s sealed
	key := c.keys[0]
	if c.gcm {
		g := newGCM(key)
		iv := make([]byte, g.NonceSize())
		_, _ = rand.Read(iv) // never fails
		out := g.Seal(nil, iv, []byte(plain), nil)
		n := len(out) - g.Overhead()
		s.IV = base64.StdEncoding.EncodeToString(iv)
		s.Value = base64.StdEncoding.EncodeToString(out[:n])
		s.Tag = base64.StdEncoding.EncodeToString(out[n:])
	} else {
		iv := make([]byte, aes.BlockSize)
		_, _ = rand.Read(iv) // never fails
		pad := aes.BlockSize - len(plain)%aes.BlockSize
		buf := append([]byte(plain), strings.Repeat(string(rune(pad)), pad)...)
		cipher.NewCBCEncrypter(newAES(key), iv).CryptBlocks(buf, buf)
		s.IV = base64.StdEncoding.EncodeToString(iv)
		s.Value = base64.StdEncoding.EncodeToString(buf)
		s.MAC = hex.EncodeToString(s.mac(key))
	}
	text, err := json.Marshal(s)
	return base64.StdEncoding.EncodeToString(text), err
}
