-- Outstanding shares of share classes, as given up to :last (date).
SELECT security_id, valid_from, shares FROM closingbell.class_shares WHERE valid_from <= :last;
