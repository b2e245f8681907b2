package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strconv"
)

// freePorts prints as many loopback ports as asked for, all free at once a moment ago.
func freePorts(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("how many?")
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		// Held until all are found, so that none is named twice.
		defer listener.Close()
		fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	}
	return nil
}

// newKey writes the RSA key that signs service account tokens.
func newKey(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("to which file?")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(args[0], pem.EncodeToMemory(block), 0o600)
}
