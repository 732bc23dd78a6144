package rest

import (
	"maps"
	"net/http"

	"github.com/dynconfig/dynconfig/core"
)

// health is the body of /health and its kin.
type health struct {
	Status     string            `json:"status" enum:"healthy,degraded,unhealthy" doc:"The worst of the components."`
	Components map[string]string `json:"components,omitempty" doc:"A word for each part."`
}

// about is the body of /version.
type about struct {
	Version string     `json:"version" doc:"Of the server."`
	Backend string     `json:"backend" doc:"Its name."`
	Limits  limitTable `json:"limits" doc:"Sizes that the backend takes."`
}

type limitTable struct {
	MaxOperations int  `json:"maxOperations" doc:"Operations in one commit."`
	MaxBytes      int  `json:"maxBytes" doc:"Bytes of values in one commit."`
	MaxValueBytes int  `json:"maxValueBytes" doc:"Bytes of one value."`
	Shared        bool `json:"shared" doc:"Several nodes may serve the same data."`
	Durable       bool `json:"durable" doc:"What was acknowledged survives a loss of power."`
}

func (s *Server) stateOperations() []*operation {
	unhealthy := func(about string) answer {
		return answer{status: 503, about: about, shape: health{}, example: `{"status":"unhealthy"}`}
	}
	return []*operation{
		{
			method: http.MethodGet, path: "/health", id: "health", tag: "server", summary: "How the server and its parts are",
			about: "Status words only.", public: true, run: s.healthPage,
			answers: []answer{
				{
					status: 200, about: "The server works, perhaps with less than all of its parts.", shape: health{},
					example: `{"status":"healthy","components":{"store":"healthy"}}`,
				},
				unhealthy("The server cannot work."),
			},
		},
		{
			method: http.MethodGet, path: "/livez", id: "livez", tag: "server", summary: "Whether the process lives",
			about: "Asks nothing of the store.", public: true, run: func(c *call) error {
				c.json(http.StatusOK, marshal(health{Status: core.Healthy}))
				return nil
			},
			answers: []answer{{status: 200, about: "It does.", shape: health{}, example: `{"status":"healthy"}`}},
		},
		{
			method: http.MethodGet, path: "/readyz", id: "readyz", tag: "server", summary: "Whether to send requests here",
			about: "No, while the store is away and once the server is going away.", public: true, run: s.readyPage,
			answers: []answer{
				{status: 200, about: "Yes.", shape: health{}, example: `{"status":"healthy"}`},
				unhealthy("Not now."),
			},
		},
		{
			method: http.MethodGet, path: "/version", id: "version", tag: "server", summary: "Version and limits",
			about: "The server's version, its backend and what that takes.", public: true, run: s.versionPage,
			answers: []answer{{
				status: 200, about: "They are.", shape: about{},
				example: `{"version":"1.0.0","backend":"embedded","limits":{"maxOperations":1000,"maxBytes":8388608,"maxValueBytes":1048576,"shared":false,"durable":true}}`,
			}},
		},
		{
			method: http.MethodGet, path: "/metrics", id: "metrics", tag: "server", summary: "Figures",
			about: "For Prometheus.", public: true, given: true, run: given(s.o.Metrics),
			answers: []answer{{
				status: 200, about: "In the text format of Prometheus.", media: "text/plain", shape: "",
				example: "dynconfig_revision 417\n",
			}},
			errors: []error{core.ErrNotFound},
		},
		{
			method: http.MethodGet, path: "/.well-known/jwks.json", id: "jwks", tag: "server", summary: "The built-in issuer's public key",
			about: "A JSON Web Key Set, where the server is its own issuer.", public: true, given: true, run: given(s.o.JWKS),
			answers: []answer{{
				status: 200, about: "The set.", media: "application/jwk-set+json", shape: map[string]any{},
				example: `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
			}},
			errors: []error{core.ErrNotFound},
		},
	}
}

func (s *Server) healthPage(c *call) error {
	h := s.engine.Health(c.ctx())
	parts := maps.Clone(h.Components) // the Engine may show the same to others
	maps.Copy(parts, s.o.Components())
	word := core.Worst(parts)
	c.json(healthStatus(word), marshal(health{Status: word, Components: parts}))
	return nil
}

func (s *Server) readyPage(c *call) error {
	word := s.engine.Health(c.ctx()).Status
	if s.o.Draining() {
		word = core.Unhealthy
	}
	c.json(healthStatus(word), marshal(health{Status: word}))
	return nil
}

func healthStatus(word string) int {
	if word == core.Unhealthy {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func (s *Server) versionPage(c *call) error {
	l := s.engine.Limits()
	c.json(http.StatusOK, marshal(about{Version: s.o.Version, Backend: s.o.Backend, Limits: limitTable{
		MaxOperations: l.MaxOps, MaxBytes: l.MaxBytes, MaxValueBytes: core.MaxValue, Shared: l.Shared, Durable: l.Durable,
	}}))
	return nil
}
