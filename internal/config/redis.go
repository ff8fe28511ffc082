package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// RedisPrefix is the prefix of Redis's settings. They do not belong to a single service: all processes that share limits have the same.
const RedisPrefix = "FOUNTAIN_REDIS_"

// Redis is the server through which processes share their limits.
type Redis struct {
	URL          string `env:"URL"`           // redis:// or rediss://[user[:password]@]host[:port][/database]; empty: limits are not shared
	PasswordFile string `env:"PASSWORD_FILE"` // file with the password, instead of one in URL
}

// RedisTarget is a parsed Redis address.
type RedisTarget struct {
	Addr, Host         string // host:port, and the host alone
	Username, Password string
	Database           int
	TLS                bool
}

// Validate checks the URL. It makes no connection and reads no file.
func (r Redis) Validate() error {
	if r.URL == "" {
		if r.PasswordFile != "" {
			return errors.New(RedisPrefix + "PASSWORD_FILE: is of no use without " + RedisPrefix + "URL")
		}
		return nil
	}
	target, err := r.parse()
	if err == nil && target.Password != "" && r.PasswordFile != "" {
		err = errors.New(RedisPrefix + "PASSWORD_FILE: the URL holds a password too")
	}
	return err
}

// Target parses the URL and reads the password's file. Errors contain nothing of either.
func (r Redis) Target() (RedisTarget, error) {
	target, err := r.parse()
	if err == nil && r.PasswordFile != "" {
		target.Password, err = ReadSecret(r.PasswordFile)
	}
	return target, err
}

// Addr returns host:port, or "" when there is no URL or it is malformed.
func (r Redis) Addr() string {
	target, err := r.parse()
	if r.URL == "" || err != nil {
		return ""
	}
	return target.Addr
}

func (r Redis) parse() (RedisTarget, error) {
	malformed := fmt.Errorf("%sURL: must be redis:// or rediss://[user[:password]@]host[:port][/database], without query and fragment", RedisPrefix)
	u, err := url.Parse(r.URL)
	if err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") || u.Hostname() == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return RedisTarget{}, malformed
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	t := RedisTarget{Addr: net.JoinHostPort(u.Hostname(), port), Host: u.Hostname(), Username: u.User.Username(), TLS: u.Scheme == "rediss"}
	t.Password, _ = u.User.Password()
	if database := strings.Trim(u.Path, "/"); database != "" {
		if t.Database, err = strconv.Atoi(database); err != nil || t.Database < 0 {
			return RedisTarget{}, malformed
		}
	}
	return t, nil
}
