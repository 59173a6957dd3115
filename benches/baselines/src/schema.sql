-- The tables of both PostgreSQL baselines, and a checkout in each.

-- Room in every page lets PostgreSQL rewrite a row without touching the index.
CREATE TABLE stock (
    sku text PRIMARY KEY,
    price int NOT NULL,
    available int NOT NULL CHECK (available >= 0)
) WITH (fillfactor = 20);

CREATE SEQUENCE order_ids;

CREATE TABLE orders (
    id bigint PRIMARY KEY DEFAULT nextval('order_ids'),
    idempotency_key text NOT NULL UNIQUE,
    total int NOT NULL,
    status text NOT NULL DEFAULT 'created',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE order_lines (
    order_id bigint NOT NULL,
    sku text NOT NULL,
    quantity int NOT NULL,
    price int NOT NULL,
    PRIMARY KEY (order_id, sku)
);

-- One checkout. No row: too little is left. The stock comes last, so that a popular row is locked for the commit and
-- for nothing else; whoever lost the race for the last unit is rolled back with OUT01.
CREATE FUNCTION place_order(wanted_key text, wanted_sku text, wanted int)
RETURNS TABLE (order_id bigint, order_total int) LANGUAGE plpgsql AS $$
DECLARE
    offer stock;
BEGIN
    SELECT * INTO offer FROM stock WHERE sku = wanted_sku;
    IF offer.available >= wanted THEN
        INSERT INTO orders (idempotency_key, total) VALUES (wanted_key, offer.price * wanted)
            ON CONFLICT (idempotency_key) DO NOTHING
            RETURNING id, total INTO order_id, order_total;
        IF FOUND THEN
            INSERT INTO order_lines VALUES (order_id, wanted_sku, wanted, offer.price);
            UPDATE stock SET available = available - wanted WHERE sku = wanted_sku AND available >= wanted;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'out of stock' USING ERRCODE = 'OUT01';
            END IF;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT id, total FROM orders WHERE idempotency_key = wanted_key;
END $$;

-- Many checkouts, one commit. A place without a row: too little was left. The places of one sku are served in order
-- for as long as the stock lasts; the stock is locked in the order of its skus, so that writers never wait for each
-- other in a circle. Of a key that stands here twice the first place is served.
CREATE FUNCTION place_orders(wanted_keys text[], wanted_skus text[], wanted int[])
RETURNS TABLE (place int, order_id bigint, order_total int) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM stock WHERE sku = ANY (ARRAY(SELECT DISTINCT unnest(wanted_skus))) ORDER BY sku FOR UPDATE;
    RETURN QUERY
    WITH request AS MATERIALIZED (
        SELECT key, sku, quantity, n::int AS n, earlier.id AS earlier_id, earlier.total AS earlier_total,
            row_number() OVER (PARTITION BY key ORDER BY n) AS attempt
        FROM unnest(wanted_keys, wanted_skus, wanted) WITH ORDINALITY AS asked (key, sku, quantity, n)
        LEFT JOIN LATERAL (SELECT id, total FROM orders WHERE idempotency_key = key) AS earlier ON true
    ),
    priced AS (
        SELECT request.*, offer.price,
            offer.available - sum(quantity) OVER (PARTITION BY request.sku ORDER BY n) AS left_over
        FROM request
        CROSS JOIN LATERAL (SELECT price, available FROM stock WHERE stock.sku = request.sku) AS offer
        WHERE earlier_id IS NULL AND attempt = 1
    ),
    fitting AS MATERIALIZED (
        SELECT nextval('order_ids') AS id, n, key, sku, quantity, price, price * quantity AS total
        FROM priced WHERE left_over >= 0
    ),
    placed AS (INSERT INTO orders (id, idempotency_key, total) SELECT id, key, total FROM fitting),
    lined AS (INSERT INTO order_lines SELECT id, sku, quantity, price FROM fitting),
    taken AS (
        UPDATE stock SET available = available - gone
        FROM (SELECT sku AS gone_sku, sum(quantity)::int AS gone FROM fitting GROUP BY sku) AS sold
        WHERE sku = gone_sku
    )
    SELECT n, id, total FROM fitting
    UNION ALL SELECT n, earlier_id, earlier_total FROM request WHERE earlier_id IS NOT NULL;
END $$;
