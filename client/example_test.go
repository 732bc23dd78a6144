package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

func Example() {
	ctx := context.Background()
	c, err := client.New("http://127.0.0.1:8080", client.Options{Token: client.StaticToken("<jwt>")})
	if err != nil {
		log.Fatal(err)
	}
	written, err := c.Put(ctx, "app.ui.theme", "dark", client.WriteOptions{TTL: 24 * time.Hour, IfAbsent: true})
	if errors.Is(err, core.ErrPrecondition) {
		log.Print("there is one already")
	}
	item, err := c.Get(ctx, "app.ui.theme", client.GetOptions{MinRevision: written.Revision})
	fmt.Println(string(item.Value), err)
}

func ExampleClient_Watch() {
	c, err := client.New("http://127.0.0.1:8080", client.Options{Token: client.StaticToken("<jwt>")})
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range c.Watch(context.Background(), client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}) {
		if err != nil {
			log.Fatal(err) // the server refuses for good; a lost connection is no error
		}
		fmt.Println(e.Event, e.Key, string(e.Value))
	}
}

func ExampleMirror() {
	ctx := context.Background()
	c, err := client.New("http://127.0.0.1:8080", client.Options{Token: client.StaticToken("<jwt>")})
	if err != nil {
		log.Fatal(err)
	}
	m, err := c.NewMirror("app.*")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := m.OnChange("app.ui.*", func(c client.Change) { log.Print(c.Key, " changed") }); err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	select {
	case <-m.Ready():
	case err := <-ended:
		log.Fatal(err)
	}
	limit, err := client.Decode[int](m, "app.limit") // no call
	fmt.Println(limit, err)
}
