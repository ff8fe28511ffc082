package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// RedisPrefix begins the names of Redis's settings. They belong to no one service: all processes that share limits have the same.
const RedisPrefix = "FOUNTAIN_REDIS_"

// Redis names the server over which processes share their limits.
type Redis struct {
	URL          string `env:"URL"`           // redis:// or rediss://[user[:password]@]host[:port][/database]; empty: limits are not shared
	PasswordFile string `env:"PASSWORD_FILE"` // file with the password, instead of one in URL
}

// RedisTarget is a Redis taken apart.
type RedisTarget struct {
	Addr, Host         string // host:port, and the host alone
	Username, Password string
	Database           int
	TLS                bool
}

// Validate checks the URL and touches nothing outside.
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

// Target takes the URL apart and reads the password's file. An error holds nothing of either.
func (r Redis) Target() (RedisTarget, error) {
	target, err := r.parse()
	if err == nil && r.PasswordFile != "" {
		target.Password, err = ReadSecret(r.PasswordFile)
	}
	return target, err
}

// Addr returns host:port; "" when there is none or the URL is malformed.
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
