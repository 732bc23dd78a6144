package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/auth"
)

func tokenCommand() *cobra.Command {
	var user, life string
	c := &cobra.Command{
		Use: "token --user NAME", Short: "Sign a token with the key of a server that is its own issuer",
		Long: `Sign a token with the issuer's key in the data directory, which is made if there is none. It works beside a running
server. Who can read that directory can be anyone.`,
		Example: "  export DYNCONFIG_TOKEN=$(dynconfig token --user admin-user)\n  dynconfig token --user service:web --ttl 12h",
		Args:    arguments(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if user == "" {
				return usageError{fmt.Errorf("%s takes --user NAME", c.CommandPath())}
			}
			ttl, err := parseDuration(life)
			if err != nil || ttl < time.Second || ttl > auth.MaxTTL {
				return usageError{fmt.Errorf("--ttl is %q: it must be a number of seconds or a duration such as 12h, from 1 second to 30 days", life)}
			}
			s, err := loadSettings(c.Flags(), os.Environ(), configFile(c.Flags()))
			if err != nil {
				return err
			}
			if s.JWKSURL != "" {
				fmt.Fprintln(c.ErrOrStderr(), "dynconfig: JWKS_URL is set: a server with that setting does not accept this token")
			}
			issuer, err := openIssuer(s)
			if err != nil {
				return err
			}
			token, err := issuer.Issue(user, ttl, nil)
			if errors.Is(err, core.ErrInvalid) {
				return usageError{fmt.Errorf("--user is not valid: %w", err)}
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), token)
			return err
		},
	}
	addFlags(c.Flags(), "data-dir", "issuer-key", "jwks-url")
	c.Flags().StringVar(&user, "user", "", "the token's username")
	c.Flags().StringVar(&life, "ttl", auth.DefaultTTL.String(), "how long it is good for, at most 30 days")
	_ = c.Flags().MarkHidden("jwks-url")
	return c
}

// openIssuer returns the server's own issuer of tokens.
func openIssuer(s Settings) (*auth.Issuer, error) {
	if s.IssuerKey != "" {
		return auth.ParseIssuer(s.IssuerKey)
	}
	return auth.OpenIssuer(s.DataDir)
}
