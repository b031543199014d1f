// Command lambda is the gateway as an AWS Lambda function for the provided.al2023
// runtime: build it as "bootstrap". It answers Function URLs (streaming with
// PERIGEE_LAMBDA_STREAMING=true), API Gateway REST and HTTP APIs, and
// Application Load Balancers.
//
// It is configured by the environment variables of docs/CONFIGURATION.md.
package main

import (
	"log/slog"
	"os"
	"strconv"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/perigee-gateway/perigee/functions/gateway"
)

func main() {
	if err := prepare(); err != nil {
		slog.Error("cannot start", "error", err)
		reportInit(err)
		os.Exit(1)
	}
	stream, _ := strconv.ParseBool(os.Getenv("PERIGEE_LAMBDA_STREAMING"))
	lambda.Start(handler(gateway.Handler(), stream))
}
