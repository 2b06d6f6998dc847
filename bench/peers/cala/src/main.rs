// cala-ledger as a peer: POST /transfers takes an array of {reference, from, to, amount}, posts it
// in one database transaction and answers after the commit. Prints its port when it listens.
// Settings: DATABASE_URL, POOL, ACCOUNTS, and EVENTUAL=1 for a platform account whose balance is
// kept by cala's rollup job instead of by each posting.
use std::{env, str::FromStr};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use cala_ledger::{
    AccountId, CalaLedger, CalaLedgerConfig, JournalId, TransactionId,
    account::NewAccount,
    job::{JobSvcConfig, Jobs},
    journal::NewJournal,
    posting::PostingInput,
    primitives::BalanceRollup,
    tx_template::{
        NewParamDefinition, NewTxTemplate, NewTxTemplateEntry, NewTxTemplateTransaction,
        ParamDataType, Params,
    },
};
use rust_decimal::Decimal;
use serde::Deserialize;
use uuid::Uuid;

const TEMPLATE: &str = "TRANSFER";
const JOURNAL: u128 = 1;
const ACCOUNTS_BASE: u128 = 1 << 64;
const CREATED_AT_ONCE: u32 = 1_000;

#[derive(Deserialize)]
struct Transfer {
    reference: String,
    from: u32,
    to: u32,
    amount: i64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(setting("POOL")?)
        .acquire_timeout(std::time::Duration::from_secs(120))
        .connect(&env::var("DATABASE_URL")?)
        .await?;
    let config = CalaLedgerConfig::builder()
        .pool(pool.clone())
        .exec_migrations(true)
        .build()
        .map_err(debug)?;
    let mut jobs = Jobs::init(JobSvcConfig::builder().pool(pool).build().map_err(debug)?).await?;
    let cala = CalaLedger::init(config, &mut jobs).await?;
    open_books(&cala, setting("ACCOUNTS")?, env::var("EVENTUAL").is_ok()).await?;
    jobs.start_poll().await?;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let routes = Router::new().route("/transfers", post(transfer)).with_state(cala);
    axum::serve(listener, routes).await?;
    Ok(())
}

fn debug(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

fn setting(name: &str) -> anyhow::Result<u32> {
    Ok(u32::from_str(&env::var(name)?)?)
}

fn account_id(number: u32) -> Uuid {
    Uuid::from_u128(ACCOUNTS_BASE + u128::from(number))
}

/// Account 0 is the platform's.
async fn open_books(cala: &CalaLedger, accounts: u32, eventual: bool) -> anyhow::Result<()> {
    let journal = NewJournal::builder()
        .id(JournalId::from(Uuid::from_u128(JOURNAL)))
        .name("peers")
        .build();
    cala.journals().create(journal).await?;
    cala.tx_templates().create(template()?).await?;
    let rollup = if eventual {
        BalanceRollup::EventuallyConsistent
    } else {
        BalanceRollup::Synchronous
    };
    for first in (0..=accounts).step_by(CREATED_AT_ONCE as usize) {
        let some = (first..=accounts.min(first + CREATED_AT_ONCE - 1))
            .map(|number| {
                NewAccount::builder()
                    .id(AccountId::from(account_id(number)))
                    .code(format!("a_{number}"))
                    .name(format!("a_{number}"))
                    .balance_rollup(if number == 0 { rollup } else { BalanceRollup::Synchronous })
                    .build()
            })
            .collect();
        cala.accounts().create_all(some).await?;
    }
    Ok(())
}

fn template() -> anyhow::Result<NewTxTemplate> {
    let param = |name: &str, kind: ParamDataType| {
        NewParamDefinition::builder().name(name).r#type(kind).build()
    };
    let entry = |kind: &str, account: &str, direction: &str| {
        NewTxTemplateEntry::builder()
            .entry_type(format!("'{kind}'"))
            .account_id(format!("params.{account}"))
            .layer("SETTLED")
            .direction(direction)
            .units("params.amount")
            .currency("'USD'")
            .build()
    };
    let transaction = NewTxTemplateTransaction::builder()
        .effective("date()")
        .journal_id(format!("uuid('{}')", Uuid::from_u128(JOURNAL)))
        .external_id("params.reference")
        .build()?;
    Ok(NewTxTemplate::builder()
        .id(Uuid::now_v7())
        .code(TEMPLATE)
        .params(vec![
            param("reference", ParamDataType::String)?,
            param("from", ParamDataType::Uuid)?,
            param("to", ParamDataType::Uuid)?,
            param("amount", ParamDataType::Decimal)?,
        ])
        .transaction(transaction)
        .entries(vec![
            entry("TRANSFER_DR", "from", "DEBIT")?,
            entry("TRANSFER_CR", "to", "CREDIT")?,
        ])
        .build())
}

async fn transfer(
    State(cala): State<CalaLedger>,
    Json(transfers): Json<Vec<Transfer>>,
) -> (StatusCode, String) {
    let batch = transfers.into_iter().map(posting).collect();
    match cala.post_transactions(batch).await {
        Ok(_) => (StatusCode::CREATED, "{}".into()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")),
    }
}

fn posting(transfer: Transfer) -> PostingInput {
    let mut params = Params::new();
    params.insert("reference", transfer.reference);
    params.insert("from", account_id(transfer.from));
    params.insert("to", account_id(transfer.to));
    params.insert("amount", Decimal::new(transfer.amount, 2));
    PostingInput::new(TransactionId::new(), TEMPLATE, params)
}
