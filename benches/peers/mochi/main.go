// Mochi as a broker that benches/compare can start: one listener, everybody may come in, no log.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	capabilities := mqtt.NewDefaultServerCapabilities()
	address := flag.String("address", "127.0.0.1:1883", "where to listen")
	// Room for each is made when a client connects, so that a large number costs memory.
	pending := flag.Int("pending", int(capabilities.MaximumClientWritesPending), "messages that may wait for a client before it loses some")
	version := flag.Bool("version", false, "say it and end")
	flag.Parse()
	if *version {
		fmt.Println("Mochi", mqtt.Version)
		return
	}
	capabilities.MaximumClientWritesPending = int32(*pending)
	server := mqtt.New(&mqtt.Options{
		Capabilities: capabilities,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	must(server.AddHook(new(auth.AllowHook), nil))
	must(server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: *address})))
	must(server.Serve())
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
	must(server.Close())
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
