// Package infra holds the Terraform modules; its tests check them.
//
//	gcp       both planes on Google Cloud
//	aws       the gateway on AWS Lambda
//	examples  what to start from
package infra
