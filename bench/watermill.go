package bench

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
)

// mill is github.com/ThreeDotsLabs/watermill-sql: a log of messages, whose topic stands for all streams. It has no
// streams to read, and reads through a subscriber alone.
type mill struct {
	db        *sql.DB
	publisher *watermillsql.Publisher
}

const topic = "events"

func openMill(_ context.Context, _ string, db *sql.DB) (log, error) {
	p, err := watermillsql.NewPublisher(watermillsql.BeginnerFromStdSQL(db), watermillsql.PublisherConfig{
		SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{}, AutoInitializeSchema: true,
	}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	m := mill{db, p}
	s, err := m.subscriber("first")
	if err != nil {
		return nil, err
	}
	return m, errors.Join(s.SubscribeInitialize(topic), s.Close())
}

func messages(stream string, has, n int) []*message.Message {
	list := make([]*message.Message, n)
	for i := range list {
		list[i] = message.NewMessage(watermill.NewUUID(), payload(stream, has+i+1))
		list[i].Metadata.Set("user", "u-42")
		list[i].Metadata.Set("ip", "192.0.2.7")
	}
	return list
}

func (m mill) append(_ context.Context, stream string, has, n int) error {
	return m.publisher.Publish(topic, messages(stream, has, n)...)
}

func (m mill) appendTx(ctx context.Context, stream string, has int, hold time.Duration) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	p, err := watermillsql.NewPublisher(watermillsql.TxFromStdSQL(tx), watermillsql.PublisherConfig{SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{}}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	if err := p.Publish(topic, messages(stream, has, 1)...); err != nil {
		return err
	}
	time.Sleep(hold)
	return tx.Commit()
}

func (mill) readStream(context.Context, string) (int, error) { return 0, errors.ErrUnsupported }

func (mill) readAll(_ context.Context, after int64, _ func(data []byte)) (int64, error) {
	return after, errors.ErrUnsupported
}

func (m mill) subscriber(group string) (*watermillsql.Subscriber, error) {
	return watermillsql.NewSubscriber(watermillsql.BeginnerFromStdSQL(m.db), watermillsql.SubscriberConfig{
		ConsumerGroup: group, PollInterval: time.Millisecond, SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{},
		OffsetsAdapter: watermillsql.DefaultPostgreSQLOffsetsAdapter{}, InitializeSchema: true,
	}, watermill.NopLogger{})
}

func (m mill) subscribe(ctx context.Context, name string, handle func(data []byte) bool) (err error) {
	s, err := m.subscriber(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	list, err := s.Subscribe(ctx, topic)
	if err != nil {
		return err
	}
	for msg := range list {
		enough := handle(msg.Payload)
		msg.Ack()
		if enough {
			return nil
		}
	}
	return ctx.Err()
}
