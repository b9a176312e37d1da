"""The words of SQL whose meaning we know. A statement with any other is not traced; all are lower-case."""


def words(*lines: str) -> frozenset[str]:
    """The words of some lines."""
    return frozenset(" ".join(lines).split())


# What decides where a relation may stand, and what is never a name.
KEYWORDS = words(
    """select distinct all from where group by order having limit offset fetch first next row rows only for update
    share no key nowait of union intersect except minus values with recursive as materialized on using join inner left
    right full outer cross natural and or not in is null like ilike similar to between symmetric exists case when then
    else end asc desc nulls last collate escape over partition range groups unbounded preceding following current filter
    exclude ties others window true false unknown at time zone binary regexp rlike glob array interval nchar_cs both
    leading trailing"""
)

# The words that a parenthesis may follow, other than the name of a function. None of them can name a function of a
# project's own where it stands: those that could are bound to the word before.
OPENERS = words(
    """select distinct all from where having union intersect except minus values as on using join and or not in
    between exists case when then else like array"""
)
OPENERS_AFTER = {
    "over": frozenset({")"}),
    "filter": frozenset({")"}),
    "by": frozenset({"group", "order", "partition"}),
}

JOINS = frozenset(["join", "inner", "left", "right", "full", "outer", "cross", "natural"])
AFTER_RELATION = JOINS | words(
    """, ) ; on using where group order having limit offset fetch for union intersect except minus window"""
)

# In parentheses of their own, FROM is theirs.
TAKE_FROM = frozenset(["extract", "trim", "substring", "overlay"])

TYPES = words(
    """bigint bit blob bool boolean box bytea char character cidr citext clob date datetime daterange decimal double
    float geography geometry hstore inet int int2 int4 int4range int8 int8range integer json jsonb macaddr nclob number
    numeric numrange nvarchar2 point precision real regconfig signed smallint text timestamp timestamptz tinyint
    tsquery tsrange tstzrange tsvector unsigned uuid varbit varchar varchar2 varying xml
    microsecond second minute hour day dow doy epoch isodow week month quarter year isoyear decade"""
)

# Their value follows from their arguments alone: no clock, chance, session, sequence, catalog or table in it.
# The database's settings (language, collation, dictionaries) count as constant.
PURE = words(
    # numbers
    """abs acos asin atan atan2 bitand bitxor ceil ceiling cos cot degrees div exp floor ln log log10 log2 mod pi pow
    power radians round sign sin sqrt tan trunc truncate
    """,
    # text
    """ascii btrim char char_length character_length chr concat concat_ws format initcap instr lcase left length
    locate lower lpad ltrim md5 octet_length ord overlay quote regexp regexp_like regexp_replace repeat replace reverse
    right rpad rtrim sha1 sha2 sha224 sha256 sha384 sha512 split_part standard_hash strpos substr substring
    substring_index to_char to_nchar translate trim ucase unaccent unicode upper
    """,
    # comparison and types
    """bit bool_and bool_or cast coalesce convert decode decimal encode float greatest if ifnull iif isnull least
    number numeric nullif nvarchar2 nvl nvl2 varchar varchar2 character to_number typeof
    """,
    # aggregates and windows
    """any_value array_agg avg bit_and bit_or bit_xor corr count covar_pop covar_samp cume_dist dense_rank every
    first_value group_concat lag last_value lead listagg max median min nth_value ntile percent_rank rank regr_avgx
    regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy row_number std stddev stddev_pop
    stddev_samp string_agg sum total variance var_pop var_samp
    """,
    # time, from arguments
    """convert_tz date_format date_sub date_trunc dayofweek extract from_tz numtodsinterval timestampdiff time_format
    to_timestamp weekday week yearweek
    django_date_extract django_date_trunc django_datetime_cast_date django_datetime_cast_time django_datetime_extract
    django_datetime_trunc django_format_dtdelta django_time_diff django_time_extract django_time_trunc
    django_timestamp_diff
    """,
    # JSON, arrays, ranges, hstore
    """akeys array_length array_position array_remove array_to_string avals cardinality isempty json json_agg
    json_array json_array_length json_arrayagg json_build_array json_build_object json_contains json_contains_path
    json_extract json_extract_path json_extract_path_text json_group_array json_group_object json_keys json_length
    json_object json_object_agg json_objectagg json_quote json_type json_typeof json_unquote json_valid jsonb_agg
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_extract_path jsonb_extract_path_text
    jsonb_object_agg jsonb_typeof lower_inc lower_inf to_json to_jsonb upper_inc upper_inf
    """,
    # search
    """phraseto_tsquery plainto_tsquery setweight similarity strict_word_similarity to_tsquery to_tsvector ts_headline
    ts_rank ts_rank_cd websearch_to_tsquery word_similarity""",
)

# SQLite's take 'now', also from a row; everywhere else they only convert.
CLOCKS_OF_SQLITE = frozenset(["date", "time", "datetime", "timestamp"])

# Words that mean something without parentheses, so that they could pass for a name.
REFUSED = {
    **dict.fromkeys(
        words("""current_date current_time current_timestamp localtime localtimestamp now sysdate systimestamp utc_date
        utc_time utc_timestamp"""),
        "clock",
    ),
    **dict.fromkeys(
        words(
            """current_catalog current_role current_schema current_user dbtimezone session_user sessiontimezone
        system_user uid user rownum currval nextval"""
        ),
        "session",
    ),
    **dict.fromkeys(words("lateral table tablesample unnest"), "relation"),
    **dict.fromkeys(words("cmax cmin ctid oid rowid _rowid_ tableoid xmax xmin"), "catalog"),
    **dict.fromkeys(words("regclass regnamespace regoper regoperator regproc regprocedure regrole regtype"), "catalog"),
}
